//! The identity and the name of a run.

use super::shared::Partner;
use crate::{
    choice::Choice,
    config::{ExperimentConfig, essential},
    error::Result,
    model::BertConfig,
    store::canonical_json,
    task::TaskId,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run's [essential](essential()) settings, as canonical JSON, without those that do not affect its results: device,
/// threads and checkpoints. `config` is that of a record or a run. The names of model and data are included, unlike in
/// [`settings`].
pub fn identity(config: &Value) -> Result<String> {
    canonical_json(&identifying(config))
}

/// [`identity`] without the names of model, data, ticket and preset. Together with the ids of the stages that read no
/// other, which cover the contents of all files, it decides whether two runs are the same.
pub fn settings(config: &Value) -> Result<String> {
    let mut config = identifying(config);
    // A text that another task's ticket is found on is read by no stage of the run's own.
    let own: &[_] =
        if config["task"] == TaskId::Mlm.name() { &[("/data", "text"), ("/data", "dev_text")] } else { &[] };
    let names = [("", "model"), ("", "ticket"), ("", "preset"), ("/data", "dir")];
    for (section, key) in names.iter().chain(own) {
        if let Some(Value::Object(section)) = config.pointer_mut(section) {
            section.remove(*key);
        }
    }
    canonical_json(&config)
}

fn identifying(config: &Value) -> Value {
    let mut config = essential(config);
    if let Some(run) = config.get_mut("run").and_then(Value::as_object_mut) {
        run.retain(|key, _| key == "dtype");
    }
    config
}

/// The name of a run: `<task>-<method>-<mode>-<seed>-<hash12>`, with the hash of its [`identity`].
pub fn run_name(config: &ExperimentConfig) -> Result<String> {
    run_name_of(&json!(config))
}

/// [`run_name`], from a record's `config`.
pub fn run_name_of(config: &Value) -> Result<String> {
    let hash = blake3::hash(identity(config)?.as_bytes()).to_hex();
    let name = |key: &str| config[key].as_str().or_else(|| config[key]["name"].as_str()).unwrap_or_default();
    let [task, method, mode] = ["task", "method", "mode"].map(name);
    Ok(format!("{task}-{method}-{mode}-{}-{}", config["seed"], &hash.as_str()[..12]))
}

/// The contents of the files that a run reads.
#[derive(Clone, Copy, Debug)]
pub struct Hashes<'a> {
    /// SHA-256 of the weights' file.
    pub weights: &'a str,
    pub model: &'a BertConfig,
    /// See [`Tokenizer::hash`](crate::text::Tokenizer::hash).
    pub tokenizer: &'a str,
    /// SHA-256 by file or split.
    pub data: &'a BTreeMap<String, String>,
    /// BLAKE3 of the ticket file that a run takes up; it enters the id of that stage alone.
    pub ticket: Option<&'a str>,
    /// SHA-256 of the weights of a model that was fine-tuned elsewhere.
    pub finetuned: Option<&'a str>,
    /// The stage of the model that a run continues.
    pub source: Option<&'a str>,
    /// The tasks that share the run's encoder, once their tickets are known.
    pub partners: &'a [Partner],
}

impl Hashes<'_> {
    /// A stage's settings, with the names of files replaced by hashes of their contents.
    pub fn with_hashes(&self, mut settings: Value) -> Value {
        settings["model"] = json!(self.weights);
        settings["model_config"] = json!(self.model);
        settings["tokenizer"] = json!(self.tokenizer);
        settings["data"] = json!(self.data);
        settings
    }
}
