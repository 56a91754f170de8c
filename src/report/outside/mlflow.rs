//! A folder of MLflow's file store: an experiment for each task, a run for each record, with its settings as parameters, its
//! scores as metrics, and the record itself as an artifact.

use super::Whole;
use crate::{
    error::Result,
    report::run::Run,
    store::atomic_write,
    sweep::records::{leaves, plain},
};
use serde_json::json;
use std::path::Path;

/// The longest value of a parameter that MLflow reads.
const LONGEST: usize = 6000;

/// Writes them below `dir`, the folder that MLflow calls `mlruns`. What is there of the same records is written again.
///
/// # Errors
/// Data: a record is not there any more or is damaged, or a file cannot be written.
pub fn mlflow(runs: &[Run], dir: &Path) -> Result<()> {
    for run in runs {
        Whole::read(run)?.write_run(dir)?;
    }
    Ok(())
}

/// Eighteen digits, as of MLflow's own experiments.
fn experiment_id(task: &str) -> String {
    let bytes = blake3::hash(task.as_bytes());
    let number = bytes.as_bytes().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    format!("{:018}", number % 1_000_000_000_000_000_000)
}

impl Whole<'_> {
    fn write_run(&self, root: &Path) -> Result<()> {
        let Self { run, record } = self;
        let experiment = experiment_id(&run.task);
        let (end, seconds) = self.times();
        let (begin, end) = ((end as f64 - seconds).max(0.0) as u64 * 1000, end * 1000);
        let dir = root.join(&experiment);
        // JSON is YAML.
        let meta = json!({
            "artifact_location": format!("mlruns/{experiment}"),
            "creation_time": end,
            "experiment_id": experiment,
            "last_update_time": end,
            "lifecycle_stage": "active",
            "name": format!("lottery {}", run.task),
        });
        atomic_write(&dir.join("meta.yaml"), meta.to_string().as_bytes())?;
        let id = blake3::hash(self.name().as_bytes()).to_hex()[..32].to_owned();
        let dir = dir.join(&id);
        let meta = json!({
            "artifact_uri": format!("mlruns/{experiment}/{id}/artifacts"),
            "end_time": end,
            "entry_point_name": "",
            "experiment_id": experiment,
            "lifecycle_stage": "active",
            "run_id": id,
            "run_name": self.name(),
            "run_uuid": id,
            "source_name": "",
            "source_type": 4,
            "source_version": "",
            "start_time": begin,
            "status": 3,
            "tags": [],
            "user_id": "",
        });
        atomic_write(&dir.join("meta.yaml"), meta.to_string().as_bytes())?;
        for (key, value) in leaves(&record["config"]) {
            let value: String = plain(value).chars().take(LONGEST).collect();
            atomic_write(&dir.join("params").join(key), value.as_bytes())?;
        }
        let kept = ["heads_kept", "ffns_kept", "encoder_weights_kept"];
        let kept = kept.into_iter().filter_map(|key| Some((key.to_owned(), record["ticket"][key].as_f64()?)));
        let scores = self.scores().map(|(part, metric, score)| (format!("{part}.{metric}"), score));
        for (key, value) in scores.chain(kept) {
            atomic_write(&dir.join("metrics").join(key), format!("{end} {value} 0\n").as_bytes())?;
        }
        for (key, value) in [
            ("mlflow.runName", self.name()),
            ("mlflow.note.content", run.warnings.join("\n")),
            ("mlflow.source.name", run.command.clone()),
            ("model", run.model.clone()),
            ("model.sha256", run.model_sha256.clone()),
        ] {
            atomic_write(&dir.join("tags").join(key), value.as_bytes())?;
        }
        atomic_write(&dir.join("artifacts/record.json"), record.to_string().as_bytes())
    }
}
