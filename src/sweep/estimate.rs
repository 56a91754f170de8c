//! What a sweep will take: time from the records of the same task, model, data and epochs, disk from the size of the model.

use super::{Run, live::is_duration, records::Summary};
use crate::{
    choice::Choice,
    error::Result,
    experiment::{Contents, graph::Node},
    store::{Done, StageId, Store, WEIGHTS},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

/// Of the runs that are still to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Of one process after the other.
    pub seconds: f64,
    /// Runs without a record of their task, model, data and epochs yet; `seconds` leaves them out.
    pub without_time: usize,
    /// At most: subnetworks are smaller than the model, and controls of equal units share theirs.
    pub bytes: u64,
    /// Of the largest model.
    pub largest: u64,
    /// Runs whose model's size is not known; `bytes` leaves them out.
    pub without_size: usize,
}

/// Seconds by stage (`finetune_s`, …), averaged over records.
type Timing = BTreeMap<String, f64>;

/// `runs` with whether each is done; `records` are those of the store.
pub fn estimate(
    runs: &[(&Run, bool)],
    records: &[Summary],
    store: &Store,
    contents: &mut Contents,
) -> Result<Estimate> {
    let mut estimate = Estimate::default();
    let mut there = HashSet::new();
    let mut sizes = HashMap::new();
    for (run, _) in runs.iter().filter(|(_, done)| *done) {
        there.extend(run.graph()?.keys()?);
    }
    for (run, _) in runs.iter().filter(|(_, done)| !done) {
        let graph = run.graph()?;
        let keyed = graph.nodes().iter().zip(graph.keys()?);
        let new: Vec<&Node> =
            keyed.filter(|(_, key)| there.insert(key.clone())).map(|(node, _)| node).collect();
        contents.read(&run.config);
        let content = contents.model(&run.config.model);
        let model = base(&run.config.model);
        let of_model = |r: &Summary| match content {
            Some(content) => r.model.sha256 == content.sha256,
            None => base(&r.model.name) == model,
        };
        let config = json!(run.config);
        let same = |r: &&Summary| r.task == run.config.task.name() && of_model(r) && r.costs_as(&config);
        let of = records.iter().filter(same);
        match average(of) {
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

/// A folder's last part, as records name it; a name on the hub as it is.
fn base(model: &str) -> String {
    let path = Path::new(model);
    if path.is_dir() {
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        return whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    model.to_owned()
}

/// The weights of a model folder, or of a model that a record's run fine-tuned.
fn size(model: &str, records: &[Summary], store: &Store) -> Option<u64> {
    let bytes = |dir: &Path| fs::metadata(dir.join(WEIGHTS)).ok().map(|file| file.len());
    // Of a stage whose weights may have been removed.
    let recorded = |dir: &Path| Done::of_folder(dir)?.info()["files"][WEIGHTS]["size"].as_u64();
    if Path::new(model).is_dir() {
        return bytes(Path::new(model));
    }
    let finetuned = records.iter().filter(|record| record.model.name == model).filter_map(Summary::finetuned);
    finetuned.filter_map(StageId::parse).find_map(|stage| recorded(store.stage(&stage).dir()))
}
