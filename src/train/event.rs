//! Events of a run, for programs.

use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// An event. The names of variants and fields are fixed: `schemas/event.schema.json` describes them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A process starts or resumes a run.
    RunBegins {
        format_version: u32,
        lottery_version: &'a str,
        run: &'a str,
        /// The command line of the process.
        command: &'a str,
        config: &'a Value,
    },
    /// This process starts to compute the stage.
    StageBegins {
        #[serde(skip)]
        stage: &'a str,
    },
    /// The stage was found in the store.
    StageFound {
        #[serde(skip)]
        stage: &'a str,
    },
    /// Another process computes the stage, and this one waits.
    StageWaits {
        #[serde(skip)]
        stage: &'a str,
    },
    /// The stage resumes from a checkpoint.
    StageResumes {
        step: u64,
        total: u64,
    },
    /// The stage is done; `seconds` is the total over all processes that computed it.
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
    /// Scores of the `full`, `pruned` or `retrained` model on the development set.
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
    /// The run was asked to stop; running the same command resumes it.
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
    /// Mean loss of this batch.
    pub loss: f64,
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Average since the first step, over all processes.
    pub tokens_per_s: f64,
}

/// One pass of the search over the data that it scores on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchPass<'a> {
    /// Counted from 1; the first pass scores the full model.
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
    /// The score that had to be reached.
    pub threshold: f64,
    pub accepted: bool,
}

impl Event<'_> {
    /// The stage that the event names, if it names one.
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
