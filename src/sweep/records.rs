//! The records of a store: which run each is of, and what it says in short.

use super::Run;
use crate::{
    error::Result,
    lottery::{identity, run_name_of},
    store::{Store, names},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What tables want of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub task: String,
    pub metric: String,
    pub method: String,
    pub mode: String,
    pub seed: u64,
    full: Scores,
    pruned: Scores,
    retrained: Scores,
    #[serde(default)]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing)]
    pub timing: BTreeMap<String, Option<f64>>,
    #[serde(default, skip_serializing)]
    model: Model,
    #[serde(default, skip_serializing)]
    stages: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    config: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Model {
    #[serde(default)]
    name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Scores {
    metrics: BTreeMap<String, f64>,
}

impl Summary {
    /// The deciding metric of the full model, the pruned one and the retrained one.
    pub fn scores(&self) -> [f64; 3] {
        [&self.full, &self.pruned, &self.retrained]
            .map(|scores| scores.metrics.get(&self.metric).copied().unwrap_or(f64::NAN))
    }

    /// The id of the stage that fine-tuned the whole model.
    pub fn finetuned(&self) -> Option<&str> {
        self.stages.get("finetune").map(String::as_str)
    }

    /// The ids of all stages that it names.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.stages.values().map(String::as_str)
    }

    /// Whether its stages took what those of a run with these settings would: equal data, cut alike, for as many epochs.
    pub fn costs_as(&self, config: &Value) -> bool {
        let keys = [
            "/method",
            "/data/max_length",
            "/data/train_limit",
            "/data/dev_limit",
            "/train/epochs",
            "/train/batch_size",
        ];
        keys.iter().all(|key| self.config.pointer(key) == config.pointer(key))
    }

    /// The name that a run of these settings has in sweeps.
    pub fn run(&self) -> Option<String> {
        run_name_of(&self.config).ok()
    }

    /// Value by key, of the settings that an outcome depends on, without what [`Summary`] has fields for. The preset is
    /// where values came from, not what they are.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        flatten("", &self.config, &mut out);
        for key in ["task", "method", "mode", "seed", "preset", "data.dir"] {
            out.remove(key);
        }
        out.retain(|key, _| key == "run.dtype" || !key.starts_with("run."));
        out.insert("model".to_owned(), self.model.name.clone());
        out
    }

    /// The model's name as the record has it: of a folder, its last part.
    pub fn model(&self) -> &str {
        &self.model.name
    }
}

/// `data.max_length` → `128`, and so on, of all that is not a table.
fn flatten(at: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                flatten(&at, value, out);
            }
        }
        Value::String(text) => _ = out.insert(at.to_owned(), text.clone()),
        other => _ = out.insert(at.to_owned(), other.to_string()),
    }
}

/// The record of this run, if there is one.
pub fn find(store: &Store, run: &Run) -> Result<Option<(PathBuf, Summary)>> {
    let config = &run.config;
    let wanted = identity(&json!(config))?;
    let last = store.results_path(&config.task, &config.method, &config.mode, config.seed);
    if let Some(found) = same(&last, &wanted) {
        return Ok(Some(found));
    }
    // Records of other settings lie beside the last one, as seed-<n>.<hash>.json.
    let dir = last.parent().unwrap_or(&last);
    let begins = format!("seed-{}.", config.seed);
    let beside = names(dir)?.into_iter().filter(|name| name.starts_with(&begins));
    Ok(beside.map(|name| dir.join(name)).filter(|path| *path != last).find_map(|path| same(&path, &wanted)))
}

/// The record in this file when it is of the wanted run; whatever is no record is none of it.
fn same(path: &Path, wanted: &str) -> Option<(PathBuf, Summary)> {
    let record: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let same = identity(record.get("config")?).ok()? == wanted;
    same.then(|| Some((path.to_owned(), Summary::deserialize(&record).ok()?)))?
}

/// Every record of the store.
pub fn all(store: &Store) -> Result<Vec<(PathBuf, Summary)>> {
    let mut folders = vec![store.dir().join("results")];
    // results/<task>/<method>/<mode>
    for _ in 0..3 {
        let below = folders.iter().map(|dir| Ok(names(dir)?.into_iter().map(|name| dir.join(name))));
        folders =
            below.collect::<Result<Vec<_>>>()?.into_iter().flatten().filter(|path| path.is_dir()).collect();
    }
    let files = folders.iter().map(|dir| Ok(names(dir)?.into_iter().map(|name| dir.join(name))));
    let files: Vec<PathBuf> = files
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    let read = |path: PathBuf| Some((path.clone(), serde_json::from_slice(&fs::read(&path).ok()?).ok()?));
    Ok(files.into_par_iter().filter_map(read).collect())
}
