//! The record of one run. Field names are fixed: other programs read them.

use super::{
    Inputs,
    baselines::Baselines,
    devices::Devices,
    provenance::Provenance,
    split::{scoring_data, training_data},
    stage::Outcomes,
    stages::{self, Metrics},
    ticket::Ticket,
    warnings::warnings,
};
use crate::{
    config::ExperimentConfig,
    cores,
    engine::Machine,
    error::Result,
    model::params::Layout,
    prune::{Mask, Method, Mode},
    store::{Done, StageId, canonical_json},
    task::Definition,
    train::{Dataset, Select, baseline},
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
    /// What a user's own file says of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<Value>,
    pub metric: &'static str,
    pub model: Value,
    pub data: Value,
    pub method: Method,
    pub mode: Mode,
    pub seed: u64,
    pub preset: Option<String>,
    pub full: Scores,
    pub baselines: Baselines,
    pub ticket: Value,
    pub pruned: Scores,
    pub retrained: Scores,
    pub importance: Value,
    pub warnings: Vec<String>,
    pub timing: Value,
    /// The device that retrained the model.
    pub device: Value,
    pub devices: Devices,
    /// When, where and by which command it was written.
    pub provenance: Value,
    pub config: ExperimentConfig,
    pub stages: BTreeMap<&'static str, String>,
}

/// Scores on the development set; for the full model, with the majority baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    pub metrics: Metrics,
    /// The epoch whose weights were kept, from 1, where that is the best one.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub epoch: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
}

/// What a record describes.
pub struct Subject {
    /// The subnetwork.
    pub mask: Mask,
    /// The ticket that it was derived from, if there is one, and the node that has it.
    pub ticket: Option<(&'static str, Ticket)>,
    /// The nodes that evaluated the full, the pruned and the retrained model.
    pub nodes: [&'static str; 3],
}

impl Record {
    /// The record of a run whose stages are all done.
    pub fn new(
        config: &ExperimentConfig,
        inputs: &Inputs,
        done: &Outcomes,
        subject: Subject,
    ) -> Result<Self> {
        let Subject { mask, ticket: found, nodes } = subject;
        let [full, pruned, retrained] = nodes.map(|node| &done[node]);
        let of = |stage: &Done| -> Result<Scores> {
            let epoch = stage.info()["selected_epoch"].clone();
            Ok(Scores { metrics: stages::scores(inputs, stage)?, epoch, baseline: None })
        };
        let (mut whole, pruned, after) = (of(full)?, of(pruned)?, of(retrained)?);
        let baseline = baseline(inputs.task, &inputs.dev);
        whole.baseline = Some(baseline);
        let devices = Devices::of(done);
        let stage = found.as_ref().and_then(|(node, _)| done.get(node)).map(Done::id);
        let found = found.as_ref().map(|(_, ticket)| ticket);
        let mut warnings = warnings(inputs, &whole.metrics, &after.metrics, baseline, found, &mask);
        if config.train.select == Select::BestEpoch {
            warnings.push(
                "the best epoch was selected on the dev split, which is also the one reported".to_owned(),
            );
        }
        warnings.extend(devices.mixture());
        Ok(Self {
            format_version: 1,
            lottery_version: env!("CARGO_PKG_VERSION"),
            task: inputs.task.name,
            task_definition: inputs.task.id.definition().map(Definition::content),
            metric: inputs.task.metric.name(),
            model: model(inputs)?,
            data: data(config, inputs)?,
            method: config.method,
            mode: config.mode,
            seed: config.seed,
            preset: config.preset.clone(),
            warnings,
            full: whole,
            baselines: Baselines::new(config, inputs)?,
            ticket: ticket(inputs, &mask, stage)?,
            pruned,
            retrained: after,
            importance: json!({
                "estimator": found.map_or(Some(config.importance.estimator), |ticket| ticket.estimator),
                "norm": found.and_then(|ticket| ticket.norm.as_ref()),
                "split": found.map_or(Some(config.importance.split), |ticket| ticket.split),
            }),
            timing: timing(done),
            device: retrained.info()["device"].clone(),
            devices,
            provenance: json!(Provenance::now()),
            config: config.clone(),
            stages: done.iter().map(|(name, stage)| (*name, stage.id().to_string())).collect(),
        })
    }
}

/// The seconds that each stage took when it was computed, now or earlier.
fn timing(done: &Outcomes) -> Value {
    let seconds = |stage: &Done| stage.info()["seconds"].clone();
    let mut timing: serde_json::Map<String, Value> =
        done.iter().map(|(name, stage)| (format!("{name}_s"), seconds(stage))).collect();
    // Always present; null if there was no search.
    timing.entry("search_s").or_insert(Value::Null);
    timing.insert("train_tokens_per_s".to_owned(), done["finetune"].info()["train_tokens_per_s"].clone());
    Value::Object(timing)
}

/// The part of the record that describes the model.
fn model(inputs: &Inputs) -> Result<Value> {
    let config = &inputs.model.config;
    Ok(json!({
        "name": inputs.folder.name,
        "revision": inputs.folder.revision,
        "sha256": inputs.model.sha256,
        "tokenizer": inputs.tokenizer.hash(),
        "config": blake3::hash(canonical_json(config)?.as_bytes()).to_hex().as_str(),
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "hidden": config.hidden_size,
        "ffn": config.intermediate_size,
    }))
}

/// The part of the record that describes the examples. Most of those that have the maximum length were truncated.
fn data(config: &ExperimentConfig, inputs: &Inputs) -> Result<Value> {
    let longest = config.data.max_length;
    let of = |data: &Dataset| {
        let hidden: usize = (0..data.len()).map(|index| data.hidden(index)).sum();
        let mut about = json!({
            "examples": data.examples(),
            "tokens": data.tokens(),
            "of_max_length": data.of_length(longest),
        });
        if data.questioned.is_some() {
            about["windows"] = json!(data.len());
        }
        if data.masking.is_some() {
            about["hidden_words"] = json!(hidden);
        }
        about
    };
    let mut about = json!({
        "train": of(&training_data(config, inputs)),
        "dev": of(&inputs.dev),
        "dev_mismatched": inputs.dev_mismatched.as_ref().map(of),
        "scoring": scoring_data(config, inputs)?.as_deref().map(of),
        "name": inputs.data.hub.as_ref().map(|(name, _)| name),
        "revision": inputs.data.hub.as_ref().map(|(_, commit)| commit),
        "sha256": inputs.data_hashes,
    });
    if let Some(chosen) = &inputs.chosen {
        about["fraction"] = chosen.record();
    }
    Ok(about)
}

/// The part of the record that describes the subnetwork: its units and the share of weights that it keeps.
fn ticket(inputs: &Inputs, mask: &Mask, search: Option<&StageId>) -> Result<Value> {
    let shares = mask.shares(&inputs.model.config, inputs.head())?;
    let model = &inputs.model.config;
    let layout = Layout::new(model, &model.full_shape(), inputs.head());
    let mut ticket = json!({
        "heads": mask.head_strings(),
        "ffns": mask.ffn_string(),
        "heads_kept": mask.heads_kept(),
        "heads_total": mask.heads_total(),
        "ffns_kept": mask.ffns_kept(),
        "ffns_total": mask.ffns_total(),
        "encoder_weights_kept": shares.encoder,
        "all_weights_kept": shares.all,
        "stage": search.map(StageId::as_str),
    });
    if let Some(survivors) = mask.survivors(&layout) {
        ticket["weights"] = json!(survivors);
    }
    Ok(ticket)
}

/// The part of the record that describes a device.
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
