//! Estimates of a sweep's time and disk space. Time: from records of the same task, model, data and epochs, else from any
//! record of the model by tokens and steps, else from measured steps. Space: from the size of the model, and what records kept of it.

use super::{
    Run,
    live::is_duration,
    pace::{Pace, Work},
    records::Summary,
};
use crate::{
    choice::Choice,
    error::Result,
    experiment::{
        Contents,
        cost::{self, Measured, Tokens},
        graph::Node,
    },
    model::storage,
    prune::Mode,
    store::{Done, StageId, Store, WEIGHTS},
};
use serde_json::{Value, json};
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
    /// The number of runs whose time follows from measured steps alone.
    pub measured: usize,
    /// The number of runs without a comparable record, which `seconds` does not count.
    pub without_time: usize,
    /// Without records of the model an upper bound: subnetworks are smaller than the model, and controls with equal masks
    /// share one.
    pub bytes: u64,
    /// The size of the largest model in bytes.
    pub largest: u64,
    /// The number of runs whose model's size is unknown, which `bytes` does not count.
    pub without_size: usize,
}

/// Seconds by stage (`finetune_s`, …), averaged over records.
type Timing = BTreeMap<String, f64>;

/// `runs`, each with whether it is done; `records` are those of the store, `measured` what was measured of models by name.
pub fn estimate(
    runs: &[(&Run, bool)],
    records: &[Summary],
    measured: &HashMap<String, Measured>,
    store: &Store,
    contents: &mut Contents,
) -> Result<Estimate> {
    let mut estimate = Estimate::default();
    let mut present = HashSet::new();
    let (mut sizes, mut tokens) = (HashMap::new(), HashMap::new());
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
        let of_model: Vec<&Summary> = records
            .iter()
            .filter(|record| match content {
                Some(content) => record.model.sha256 == content.sha256,
                None => base(&record.model.name) == model,
            })
            .collect();
        let config = json!(run.config);
        let same = |r: &&&Summary| r.task == run.config.task.name() && r.has_cost_of(&config);
        let seconds = match average(of_model.iter().filter(same).copied()) {
            Some(timing) => Some(new.iter().filter_map(|node| timing.get(&key(node)).copied()).sum()),
            None => scaled(run, &new, &of_model, measured.get(&run.config.model), &mut tokens),
        };
        match seconds {
            Some(seconds) => {
                estimate.seconds += seconds;
                estimate.measured += usize::from(of_model.is_empty());
            }
            None => estimate.without_time += 1,
        }
        match sizes.entry(&run.config.model).or_insert_with(|| size(&run.config.model, records, store)) {
            Some(bytes) => {
                for node in new.iter().filter(|node| node.stage.writes_model()) {
                    let kept = if node.model == Some("full") { 1.0 } else { kept(run, &of_model) };
                    estimate.bytes = estimate.bytes.saturating_add((*bytes as f64 * kept) as u64);
                }
                estimate.largest = estimate.largest.max(*bytes);
            }
            None => estimate.without_size += 1,
        }
    }
    Ok(estimate)
}

/// A stage's key in a record's timing.
fn key(node: &Node) -> String {
    format!("{}_s", node.name)
}

/// Passes of a search over the development set, of a model of BERT-base's shape: a few tens of steps at most.
const SEARCH_PASSES: f64 = 15.0;
/// What a token takes without an update, in parts of a training step's: forward alone, and with the gates' gradients.
const FORWARD: f64 = 0.35;
const GRADIENT: f64 = 0.8;

/// The seconds of these stages by tokens and steps: from records of the model on any data, else from measured steps.
fn scaled(
    run: &Run,
    new: &[&Node],
    of_model: &[&Summary],
    measured: Option<&Measured>,
    known: &mut HashMap<String, Option<Tokens>>,
) -> Option<f64> {
    if new.is_empty() {
        return Some(0.0);
    }
    if of_model.is_empty() && measured.is_none() {
        return None;
    }
    let config = &run.config;
    let data = format!("{} {} {}", config.model, config.task, json!(config.data));
    let tokens = (*known.entry(data).or_insert_with(|| cost::tokens(config).ok()))?;
    let epochs = config.train.epochs as f64;
    let seconds = |node: &&Node| -> Option<f64> {
        let trains = node.stage.writes_model();
        let work = match trains {
            true => Work { tokens: tokens.train * epochs, steps: tokens.steps * epochs },
            false => Work { tokens: tokens.dev, steps: 0.0 },
        };
        let own = |record: &&Summary| record.method == config.method.name();
        let pace =
            pace(node, of_model.iter().copied().filter(own)).or_else(|| pace(node, of_model.iter().copied()));
        pace.map(|pace| pace.seconds(work)).or_else(|| {
            let parts = match node.name {
                _ if trains => 1.0,
                "search" => SEARCH_PASSES * GRADIENT,
                _ => FORWARD,
            };
            Some(parts * work.tokens / measured?.tokens_per_s)
        })
    };
    new.iter().map(seconds).sum()
}

/// How long this stage took in these records.
fn pace<'a>(node: &Node, records: impl Iterator<Item = &'a Summary>) -> Option<Pace> {
    let of = |record: &Summary| {
        let seconds =
            record.timing.get(&key(node)).copied().flatten().filter(|seconds| is_duration(*seconds))?;
        // What was taken up took no training.
        if node.model == Some("full") && record.setting("/finetuned").is_some() {
            return None;
        }
        let number = |pointer: &str| record.setting(pointer).and_then(Value::as_f64);
        let (epochs, batch) = (number("/train/epochs")?, number("/train/batch_size")?);
        let work = match node.stage.writes_model() {
            true => {
                let train = record.data.train?;
                let steps = (train.examples as f64 / batch).ceil();
                Work { tokens: train.tokens as f64 * epochs, steps: steps * epochs }
            }
            false => Work { tokens: record.data.dev?.tokens as f64, steps: 0.0 },
        };
        Some((work, seconds))
    };
    Pace::of(&records.filter_map(of).collect::<Vec<_>>())
}

/// The part of the weights that a run's subnetwork keeps: that of the records of the same model, method and threshold; all
/// where there is none.
fn kept(run: &Run, of_model: &[&Summary]) -> f64 {
    let same = |record: &&&Summary| {
        let full = record.mode == Mode::Full.name();
        let threshold = record.setting("/search/threshold").and_then(Value::as_f64);
        !full && record.method == run.config.method.name() && threshold == Some(run.config.search.threshold)
    };
    let kept = of_model.iter().filter(same).filter_map(|record| record.ticket.all_weights_kept);
    let (sum, n) = kept.fold((0.0, 0.0), |(sum, n), kept| (sum + kept, n + 1.0));
    if n > 0.0 && run.config.mode != Mode::Full { f64::clamp(sum / n, 0.0, 1.0) } else { 1.0 }
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
