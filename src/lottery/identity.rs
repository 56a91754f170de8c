//! What a run is, and what it is called: in sweeps, and wherever something is kept about it.

use crate::{config::ExperimentConfig, error::Result, store::canonical_json};
use serde_json::{Value, json};

/// What a run is, whatever computes it: its settings without device, threads and checkpoints. `config` is that of a
/// record or of a run.
pub fn identity(config: &Value) -> Result<String> {
    let mut config = config.clone();
    if let Some(run) = config.get_mut("run").and_then(Value::as_object_mut) {
        run.retain(|key, _| key == "dtype");
    }
    canonical_json(&config)
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
