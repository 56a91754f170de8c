//! What long work tells programs, beside the words for people.

use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// One thing that happened. Names of variants and fields are fixed: `schemas/event.schema.json` describes them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A process begins with a run, or goes on with it.
    RunBegins {
        format_version: u32,
        lottery_version: &'a str,
        run: &'a str,
        config: &'a Value,
    },
    /// This process computes the stage from here on.
    StageBegins {
        #[serde(skip)]
        stage: &'a str,
    },
    /// The stage was in the store already.
    StageFound {
        #[serde(skip)]
        stage: &'a str,
    },
    /// Another process computes the stage.
    StageWaits {
        #[serde(skip)]
        stage: &'a str,
    },
    /// The stage goes on from a checkpoint.
    StageResumes {
        step: u64,
        total: u64,
    },
    /// The stage is done; `seconds` are those of all processes that computed it.
    StageEnds {
        #[serde(skip)]
        stage: &'a str,
        seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        metrics: Option<&'a BTreeMap<String, f64>>,
    },
    Step(TrainingStep),
    /// The mean training loss of a whole epoch.
    EpochEnds {
        epoch: usize,
        epochs: usize,
        loss: f64,
    },
    SearchPass(SearchPass<'a>),
    /// Scores on the development set of the `full`, the `pruned` or the `retrained` model.
    Scores {
        model: &'static str,
        metrics: &'a BTreeMap<String, f64>,
    },
    Warning {
        text: &'a str,
    },
    RecordWritten {
        path: &'a Path,
    },
    /// The run was asked to stop; the same command goes on with it.
    Stopped {
        message: String,
    },
    Failed {
        message: String,
        exit_code: i32,
    },
}

/// One optimizer step, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrainingStep {
    pub step: u64,
    /// Steps of the whole training.
    pub total: u64,
    /// Counted from 1.
    pub epoch: usize,
    /// Of this batch.
    pub loss: f64,
    pub learning_rate: f64,
    /// Before clipping.
    pub gradient_norm: f64,
    /// Since the first step, by all processes.
    pub tokens_per_s: f64,
}

/// One pass of the search over its scoring data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchPass<'a> {
    /// Counted from 1, which is the whole model.
    pub pass: usize,
    pub phase: &'static str,
    /// [layer, head], pruned for this pass.
    pub pruned_heads: &'a [[usize; 2]],
    /// Layers.
    pub pruned_ffns: &'a [usize],
    /// Units left in this pass.
    pub heads_kept: usize,
    pub ffns_kept: usize,
    pub score: f64,
    /// What the score had to reach.
    pub threshold: f64,
    pub accepted: bool,
}

impl Event<'_> {
    /// The stage that this is about, where the event itself says so.
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::StageBegins { stage }
            | Self::StageFound { stage }
            | Self::StageWaits { stage }
            | Self::StageEnds { stage, .. } => Some(stage),
            _ => None,
        }
    }
}
