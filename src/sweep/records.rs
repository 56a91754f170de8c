//! The records of a store: which run each is of, and what it says in short.

use super::Run;
use crate::{
    error::Result,
    lottery::identity,
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
    #[serde(default, skip_serializing)]
    pub timing: BTreeMap<String, Option<f64>>,
    #[serde(default, skip_serializing)]
    model: Model,
    #[serde(default, skip_serializing)]
    stages: BTreeMap<String, String>,
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

    /// The model's name as the record has it: of a folder, its last part.
    pub fn model(&self) -> &str {
        &self.model.name
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
