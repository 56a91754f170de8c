//! Estimates of a sweep's time and disk space: time from records of the same task, model, data and epochs, space from
//! the size of the model.

use super::{Run, live::is_duration, records::Summary};
use crate::{
    choice::Choice,
    error::Result,
    experiment::{Contents, graph::Node},
    model::storage,
    store::{Done, StageId, Store, WEIGHTS},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// What the remaining runs will take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// With one process at a time.
    pub seconds: f64,
    /// The number of runs without a comparable record, which `seconds` does not count.
    pub without_time: usize,
    /// An upper bound: subnetworks are smaller than the model, and controls with equal masks share one.
    pub bytes: u64,
    /// The size of the largest model in bytes.
    pub largest: u64,
    /// The number of runs whose model's size is unknown, which `bytes` does not count.
    pub without_size: usize,
}

/// Seconds by stage (`finetune_s`, …), averaged over records.
type Timing = BTreeMap<String, f64>;

/// `runs`, each with whether it is done; `records` are those of the store.
pub fn estimate(
    runs: &[(&Run, bool)],
    records: &[Summary],
    store: &Store,
    contents: &mut Contents,
) -> Result<Estimate> {
    let mut estimate = Estimate::default();
    let mut present = HashSet::new();
    let mut sizes = HashMap::new();
    for (run, _) in runs.iter().filter(|(_, done)| *done) {
        present.extend(run.graph()?.keys()?);
    }
    for (run, _) in runs.iter().filter(|(_, done)| !done) {
        let graph = run.graph()?;
        let keyed = graph.nodes().iter().zip(graph.keys()?);
        let new: Vec<&Node> =
            keyed.filter(|(_, key)| present.insert(key.clone())).map(|(node, _)| node).collect();
        contents.read(&run.config);
        let content = contents.model(&run.config.model);
        let model = base(&run.config.model);
        let of_model = |r: &Summary| match content {
            Some(content) => r.model.sha256 == content.sha256,
            None => base(&r.model.name) == model,
        };
        let config = json!(run.config);
        let comparable =
            |r: &&Summary| r.task == run.config.task.name() && of_model(r) && r.has_cost_of(&config);
        match average(records.iter().filter(comparable)) {
            Some(timing) => {
                let seconds = |node: &&Node| timing.get(&format!("{}_s", node.name)).copied();
                estimate.seconds += new.iter().filter_map(seconds).sum::<f64>();
            }
            None => estimate.without_time += 1,
        }
        match sizes.entry(&run.config.model).or_insert_with(|| size(&run.config.model, records, store)) {
            Some(bytes) => {
                let models = new.iter().filter(|node| node.stage.writes_model()).count() as u64;
                estimate.bytes = estimate.bytes.saturating_add(bytes.saturating_mul(models));
                estimate.largest = estimate.largest.max(*bytes);
            }
            None => estimate.without_size += 1,
        }
    }
    Ok(estimate)
}

fn average<'a>(records: impl Iterator<Item = &'a Summary>) -> Option<Timing> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for record in records {
        for (stage, seconds) in &record.timing {
            if let Some(seconds) = seconds.filter(|seconds| is_duration(*seconds)) {
                let sum = sums.entry(stage).or_default();
                *sum = (sum.0 + seconds, sum.1 + 1.0);
            }
        }
    }
    let averages: Timing = sums.into_iter().map(|(stage, (sum, n))| (stage.to_owned(), sum / n)).collect();
    (!averages.is_empty()).then_some(averages)
}

/// The model's name in records: the last component of a folder's path, or the name on the hub.
fn base(model: &str) -> String {
    let path = Path::new(model);
    if path.is_dir() {
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        return whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    model.to_owned()
}

/// The size of the weights of a model folder, or of a model that some record's run fine-tuned.
fn size(model: &str, records: &[Summary], store: &Store) -> Option<u64> {
    let length = |path: &PathBuf| fs::metadata(path).ok().map(|file| file.len());
    let bytes = |dir: &Path| storage::files(dir).ok()?.iter().map(length).sum();
    // Known even if the stage's weights were removed.
    let recorded = |dir: &Path| Done::of_folder(dir)?.info()["files"][WEIGHTS]["size"].as_u64();
    if Path::new(model).is_dir() {
        return bytes(Path::new(model));
    }
    let finetuned = records.iter().filter(|record| record.model.name == model).filter_map(Summary::finetuned);
    finetuned.filter_map(StageId::parse).find_map(|stage| recorded(store.stage(&stage).dir()))
}
