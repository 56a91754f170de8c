//! The record of one run. Field names are fixed: other programs read them.

use super::{Experiment, devices::Devices, stages::Metrics};
use crate::{
    config::ExperimentConfig,
    cores,
    engine::Machine,
    error::Result,
    prune::{Mask, Method, Mode},
    store::{StageId, canonical_json},
    train::Dataset,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The outcome of one task × mode × seed.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub format_version: u32,
    pub lottery_version: &'static str,
    pub task: &'static str,
    pub metric: &'static str,
    pub model: Value,
    pub data: Value,
    pub method: Method,
    pub mode: Mode,
    pub seed: u64,
    pub preset: Option<String>,
    pub full: Scores,
    pub ticket: Value,
    pub pruned: Scores,
    pub retrained: Scores,
    pub importance: Value,
    pub warnings: Vec<String>,
    pub timing: Value,
    /// Of the retraining.
    pub device: Value,
    pub devices: Devices,
    pub config: ExperimentConfig,
    pub stages: BTreeMap<&'static str, String>,
}

/// Scores on the development set, with the majority baseline where it belongs.
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    pub metrics: Metrics,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
}

/// The part of the record that describes the model.
pub fn model(experiment: &Experiment) -> Result<Value> {
    let config = &experiment.model.config;
    Ok(json!({
        "name": experiment.model_name,
        "sha256": experiment.model.sha256,
        "tokenizer": experiment.tokenizer.hash(),
        "config": blake3::hash(canonical_json(config)?.as_bytes()).to_hex().as_str(),
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "hidden": config.hidden_size,
        "ffn": config.intermediate_size,
    }))
}

/// The part of the record that describes the examples. Those as long as an example may be were cut, most of them.
pub fn data(experiment: &Experiment) -> Value {
    let longest = experiment.config.data.max_length;
    let of = |data: &Dataset| {
        json!({
            "examples": data.len(),
            "tokens": data.tokens(),
            "of_max_length": data.of_length(longest),
        })
    };
    json!({
        "train": of(&experiment.train),
        "dev": of(&experiment.dev),
        "dev_mismatched": experiment.dev_mismatched.as_ref().map(of),
        "scoring": experiment.scoring.as_ref().map(of),
        "sha256": experiment.data_hashes,
    })
}

/// The part of the record that describes the subnetwork: its units and the shares of weights that are left.
pub fn ticket(experiment: &Experiment, mask: &Mask, search: Option<&StageId>) -> Value {
    use crate::model::params::Layout;
    let config = &experiment.model.config;
    let full = Layout::new(config, &config.full_shape(), experiment.head());
    let left = Layout::new(config, &mask.layer_shapes(), experiment.head());
    let share = |a: usize, b: usize| a as f64 / b as f64;
    json!({
        "heads": mask.head_strings(),
        "ffns": mask.ffn_string(),
        "heads_kept": mask.heads_kept(),
        "heads_total": mask.heads_total(),
        "ffns_kept": mask.ffns_kept(),
        "ffns_total": mask.ffns_total(),
        "encoder_weights_kept": share(left.encoder_parameters(), full.encoder_parameters()),
        "all_weights_kept": share(left.parameters(), full.parameters()),
        "stage": search.map(StageId::as_str),
    })
}

/// What computes.
pub fn device(machine: &Machine) -> Value {
    let (kind, name, format) = match machine {
        Machine::Cpu { format } => ("cpu", cpu_name(), format),
        Machine::Cuda { gpu, format } => ("cuda", gpu.description(), format),
    };
    json!({
        "kind": kind,
        "name": name,
        "threads": cores::threads(),
        "dtype": format,
        "kernels": machine.kernels(),
    })
}

/// The processor's own name, or its architecture.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
