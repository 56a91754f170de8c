//! One record, with what the report takes from it.

use super::{
    contents::{data_labels, model_labels},
    published::Setting,
};
use crate::{
    choice::Choice,
    error::{Error, Result},
    store::{StageId, Store},
    sweep::records::{self, Ignored, Kept, Summary},
    task::TaskId,
};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Full, pruned and retrained model, as in records.
pub const PARTS: [&str; 3] = ["full", "pruned", "retrained"];
/// The nodes that evaluated them.
const NODES: [&str; 3] = ["finetune", "evaluate", "retrain"];

/// A run and its record.
#[derive(Clone, Debug)]
pub struct Run {
    pub path: PathBuf,
    pub store: PathBuf,
    /// As its events are named.
    pub name: Option<String>,
    pub task: String,
    pub method: String,
    pub mode: String,
    pub metric: String,
    pub seed: u64,
    /// The deciding metric of the full, the pruned and the retrained model.
    pub scores: [f64; 3],
    /// All metrics of the three.
    pub metrics: [BTreeMap<String, f64>; 3],
    pub majority: Option<f64>,
    pub bag_of_words: Option<f64>,
    pub kept: Kept,
    /// For each layer, whether each head is kept.
    pub heads: Vec<Vec<bool>>,
    pub ffns: Vec<bool>,
    pub warnings: Vec<String>,
    /// The command line that wrote the record.
    pub command: String,
    pub written: String,
    /// The model's name; with a hash where models of one name differ.
    pub model: String,
    /// SHA-256 of the model's weights.
    pub model_sha256: String,
    /// How much was pruned, where that was given: a sparsity or a level.
    pub level: Option<Level>,
    pub setting: Setting,
    /// The task whose ticket it takes.
    pub ticket_from: Option<String>,
    /// The starting weights of the retraining.
    pub init: String,
    /// The share of the training data.
    pub fraction: f64,
    /// Value by key of the settings in which the runs differ, the level, model and data among them.
    pub settings: BTreeMap<String, String>,
    stages: BTreeMap<String, String>,
}

/// What a run was asked to prune.
#[derive(Clone, Debug, PartialEq)]
pub enum Level {
    /// A level of one-shot pruning (Liang et al. 2021).
    Level(f64),
    /// A share, and of what: `0.5`, `0.5:weights`.
    Sparsity(f64, String),
}

impl Level {
    fn of(settings: &BTreeMap<String, String>) -> Option<Self> {
        let value = |key: &str| settings.get(key).map(String::as_str).filter(|value| *value != "null");
        if let Some(sparsity) = value("prune.sparsity") {
            let share = sparsity.split(':').next()?.parse().ok()?;
            return Some(Self::Sparsity(share, sparsity.to_owned()));
        }
        value("prune.level")?.parse().ok().map(Self::Level)
    }

    /// Where it stands on an axis.
    pub fn number(&self) -> f64 {
        match self {
            Self::Level(number) | Self::Sparsity(number, _) => *number,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Level(level) => format!("level {level}"),
            Self::Sparsity(_, text) => format!("sparsity {text}"),
        }
    }
}

/// What of a run's settings decides which other runs it stands beside, whether these differ in it or not.
struct Asked {
    level: Option<Level>,
    setting: Setting,
    ticket_from: Option<String>,
    init: String,
    fraction: f64,
}

impl Asked {
    fn of(settings: &BTreeMap<String, String>) -> Self {
        let fraction = settings.get("data.fraction").and_then(|fraction| fraction.parse().ok());
        Self {
            level: Level::of(settings),
            setting: Setting::of(settings),
            ticket_from: settings.get("ticket_from").filter(|task| *task != "null").cloned(),
            init: settings.get("init").cloned().unwrap_or_default(),
            fraction: fraction.unwrap_or(1.0),
        }
    }
}

/// What the report reads in a record beside its [`Summary`].
#[derive(Deserialize)]
struct More {
    full: Metrics,
    pruned: Metrics,
    retrained: Metrics,
    #[serde(default)]
    baselines: Value,
    #[serde(default)]
    ticket: Units,
    #[serde(default)]
    provenance: Value,
    #[serde(default)]
    stages: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metrics {
    metrics: BTreeMap<String, f64>,
    baseline: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Units {
    heads: Vec<String>,
    ffns: String,
}

fn flags(text: &str) -> Vec<bool> {
    text.bytes().map(|byte| byte == b'1').collect()
}

/// The runs of a store, and the files that are none.
#[derive(Debug, Default)]
pub struct Runs {
    pub found: Vec<Run>,
    pub ignored: Vec<Ignored>,
}

impl Runs {
    /// All runs of the store, or those of some tasks, in the order of their files.
    ///
    /// # Errors
    /// Data: there is no store.
    pub fn read(store: &Store, tasks: &[TaskId]) -> Result<Self> {
        Self::of(&[store], tasks)
    }

    /// The runs of several stores; settings in which any two differ tell them apart.
    ///
    /// # Errors
    /// Data: there is no store.
    pub fn of(stores: &[&Store], tasks: &[TaskId]) -> Result<Self> {
        let is_of = |record: &Summary| tasks.iter().any(|task| task.name() == record.task);
        Self::chosen(stores, |_, record| tasks.is_empty() || is_of(record))
    }

    /// The runs of these records of a store.
    ///
    /// # Errors
    /// Data: there is no store.
    pub fn among(store: &Store, records: &BTreeSet<&Path>) -> Result<Self> {
        Self::chosen(&[store], |path, _| records.contains(path))
    }

    fn chosen(stores: &[&Store], wanted: impl Fn(&Path, &Summary) -> bool) -> Result<Self> {
        let (mut found, mut ignored) = (Vec::new(), Vec::new());
        for store in stores {
            store.must_exist()?;
            let records = records::all_with(store, |text| serde_json::from_slice(text))?;
            ignored.extend(records.ignored);
            let own = records.found.into_iter().filter(|(path, record, _)| wanted(path, record));
            found.extend(own.map(|(path, record, more)| (store.dir().to_owned(), path, record, more)));
        }
        let summaries: Vec<&Summary> = found.iter().map(|(_, _, record, _)| record).collect();
        let (models, data) = (model_labels(&summaries), data_labels(&summaries));
        let mut settings: Vec<BTreeMap<String, String>> =
            summaries.par_iter().map(|record| record.settings()).collect();
        for ((settings, model), data) in settings.iter_mut().zip(&models).zip(data) {
            settings.insert("model".to_owned(), model.clone());
            settings.extend(data.map(|data| ("data".to_owned(), data)));
        }
        let levels: Vec<Asked> = settings.iter().map(Asked::of).collect();
        let differing: BTreeSet<String> = differing(&settings).into_iter().map(str::to_owned).collect();
        settings.iter_mut().for_each(|settings| settings.retain(|key, _| differing.contains(key)));
        let parts = found.into_iter().zip(settings).zip(levels.into_iter().zip(models));
        let found = parts.map(|(((store, path, record, more), settings), (asked, model))| {
            run(&store, path, record, more, settings, asked, model)
        });
        Ok(Self { found: found.collect(), ignored })
    }
}

/// The settings whose values differ among these.
pub fn differing(all: &[BTreeMap<String, String>]) -> BTreeSet<&str> {
    let mut differing = BTreeSet::new();
    // Nearly all equal the first one.
    for settings in all.iter().filter(|settings| **settings != all[0]) {
        let keys = settings.keys().chain(all[0].keys());
        differing.extend(keys.filter(|key| settings.get(*key) != all[0].get(*key)).map(String::as_str));
    }
    differing
}

fn run(
    store: &Path,
    path: PathBuf,
    record: Summary,
    more: More,
    settings: BTreeMap<String, String>,
    Asked { level, setting, ticket_from, init, fraction }: Asked,
    model: String,
) -> Run {
    let text = |key: &str| more.provenance[key].as_str().unwrap_or_default().to_owned();
    let of_words = &more.baselines["bag_of_words"]["metrics"][&record.metric];
    Run {
        store: store.to_owned(),
        name: record.run(),
        scores: record.scores(),
        majority: more.baselines["majority"][&record.metric].as_f64().or(more.full.baseline),
        bag_of_words: of_words.as_f64(),
        metrics: [more.full.metrics, more.pruned.metrics, more.retrained.metrics],
        kept: record.ticket,
        heads: more.ticket.heads.iter().map(|layer| flags(layer)).collect(),
        ffns: flags(&more.ticket.ffns),
        command: text("command"),
        written: text("written"),
        model,
        model_sha256: record.model.sha256,
        task: record.task,
        method: record.method,
        mode: record.mode,
        metric: record.metric,
        seed: record.seed,
        warnings: record.warnings,
        path,
        level,
        setting,
        ticket_from,
        init,
        fraction,
        settings,
        stages: more.stages,
    }
}

impl Run {
    /// The stage that evaluated the full, pruned or retrained model: a place in [`PARTS`].
    pub fn evaluated(&self, part: usize) -> Option<StageId> {
        self.stage(NODES[part])
    }

    /// The stage of the ticket.
    pub fn ticket(&self) -> Option<StageId> {
        self.stage("search")
    }

    /// The stage of a node.
    pub fn stage(&self, node: &str) -> Option<StageId> {
        self.stages.get(node).and_then(|id| StageId::parse(id))
    }

    /// Its store.
    ///
    /// # Errors
    /// Data: the store cannot be opened any more.
    pub fn open(&self) -> Result<Store> {
        Store::at(&self.store)
    }

    /// The heads of all layers, one layer behind the other.
    pub fn head_flags(&self) -> Vec<bool> {
        self.heads.concat()
    }

    /// The command that makes the record again.
    pub fn again(&self) -> String {
        let word = |path: &Path| shlex::try_quote(&path.to_string_lossy()).map(|word| word.into_owned());
        let (record, store) = (word(&self.path).unwrap_or_default(), word(&self.store).unwrap_or_default());
        format!("lottery run --config {record} --store {store}")
    }

    /// The path of the record below its store.
    pub fn place(&self) -> String {
        self.path.strip_prefix(&self.store).unwrap_or(&self.path).display().to_string()
    }
}

/// For a run that lacks what a figure needs.
pub fn gone(run: &Run, what: &str) -> Error {
    Error::data(format!(
        "{}: {what} of its stages is not in {} any more. Run it again: {}",
        run.place(),
        run.store.display(),
        run.again()
    ))
}
