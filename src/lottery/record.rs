//! The record of one run, and the ticket that its search found. Field names are fixed: other programs read them.

use super::{Experiment, stages::Metrics};
use crate::{
    config::{ExperimentConfig, Split},
    prune::{Estimator, Mask, Method, Mode, Step},
    store::StageId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `ticket.json`: a mask and how it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub format_version: u32,
    pub task: String,
    pub method: Method,
    pub seed: u64,
    pub layers: usize,
    pub heads_per_layer: usize,
    pub estimator: Estimator,
    pub norm: String,
    pub split: Split,
    pub metric: String,
    /// The full model's score on `split`.
    pub full_score: f64,
    /// The score of the mask on `split`.
    pub score: f64,
    pub threshold: f64,
    /// Nothing was left to prune before the score fell below the threshold.
    pub exhausted: bool,
    pub note: Option<String>,
    #[serde(flatten)]
    pub mask: Mask,
    /// Every step, accepted or not, with the importances that chose its units.
    pub steps: Vec<Step>,
}

/// The outcome of one task × mode × seed.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub format_version: u32,
    pub lottery_version: &'static str,
    pub task: &'static str,
    pub metric: &'static str,
    pub model: Value,
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
    pub device: Value,
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
pub fn model(experiment: &Experiment) -> Value {
    let config = &experiment.model.config;
    json!({
        "name": experiment.model_name,
        "sha256": experiment.model.sha256,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "hidden": config.hidden_size,
        "ffn": config.intermediate_size,
    })
}

/// The part of the record that describes the subnetwork: its units and the shares of weights that are left.
pub fn ticket(experiment: &Experiment, mask: &Mask, search: Option<&StageId>) -> Value {
    use crate::model::params::Layout;
    let config = &experiment.model.config;
    let labels = experiment.task.num_labels();
    let full = Layout::new(config, &config.full_shape(), labels);
    let left = Layout::new(config, &mask.layer_shapes(), labels);
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
pub fn device() -> Value {
    json!({
        "kind": "cpu",
        "name": cpu_name(),
        "threads": rayon::current_num_threads(),
        "dtype": "f32",
        "kernels": format!("{:?}", crate::ops::simd::level()).to_lowercase(),
    })
}

/// The processor's own name, or its architecture.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
