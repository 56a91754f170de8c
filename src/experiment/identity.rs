//! What a run is, and what it is called: in sweeps, and wherever something is kept about it.

use crate::{
    config::{ExperimentConfig, essential},
    error::Result,
    model::BertConfig,
    store::canonical_json,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run's [essential](essential()) settings without device, threads and checkpoints, which decide how it is computed and
/// not what. `config` is
/// that of a record or of a run. Names of model and data are part of it; [`settings`] leaves them to their contents.
pub fn identity(config: &Value) -> Result<String> {
    canonical_json(&what(config))
}

/// [`identity`] without the places of model and data and without the preset's name: together with the id of the
/// fine-tuning, which has the hashes of all that was read, it decides whether two runs are the same.
pub fn settings(config: &Value) -> Result<String> {
    let mut config = what(config);
    for (section, key) in [("", "model"), ("", "preset"), ("/data", "dir")] {
        if let Some(Value::Object(section)) = config.pointer_mut(section) {
            section.remove(key);
        }
    }
    canonical_json(&config)
}

fn what(config: &Value) -> Value {
    let mut config = essential(config);
    if let Some(run) = config.get_mut("run").and_then(Value::as_object_mut) {
        run.retain(|key, _| key == "dtype");
    }
    config
}

/// `<task>-<method>-<mode>-<seed>-<hash12>`; the hash is that of [`identity`].
pub fn run_name(config: &ExperimentConfig) -> Result<String> {
    run_name_of(&json!(config))
}

/// The same from a record's `config`.
pub fn run_name_of(config: &Value) -> Result<String> {
    let hash = blake3::hash(identity(config)?.as_bytes()).to_hex();
    let [task, method, mode] = ["task", "method", "mode"].map(|key| config[key].as_str().unwrap_or_default());
    Ok(format!("{task}-{method}-{mode}-{}-{}", config["seed"], &hash.as_str()[..12]))
}

/// The files that a run reads, by content.
#[derive(Clone, Copy, Debug)]
pub struct Hashes<'a> {
    /// SHA-256 of the weights' file.
    pub weights: &'a str,
    pub model: &'a BertConfig,
    /// See [`Tokenizer::hash`](crate::text::Tokenizer::hash).
    pub tokenizer: &'a str,
    /// SHA-256 by file or split.
    pub data: &'a BTreeMap<String, String>,
}

impl Hashes<'_> {
    /// A stage's settings with what the files hold in the place of their names.
    pub fn in_place_of_names(&self, mut settings: Value) -> Value {
        settings["model"] = json!(self.weights);
        settings["model_config"] = json!(self.model);
        settings["tokenizer"] = json!(self.tokenizer);
        settings["data"] = json!(self.data);
        settings
    }
}
