//! `ticket.json`: the mask that a search found, and how. Field names are fixed: other programs read them.

use super::Experiment;
use crate::{
    config::Split,
    prune::{Estimator, Mask, Method, Outcome, PrunedUnits, Step},
};
use serde::{Deserialize, Serialize};

/// A mask and how it was found.
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

impl Ticket {
    pub(super) fn new(experiment: &Experiment, outcome: Outcome) -> Self {
        let norm = match experiment.search.pruned_units {
            PrunedUnits::Excluded => "layer-l2+minmax",
            PrunedUnits::Included => "layer-l2+minmax, pruned units included",
        };
        Self {
            format_version: 1,
            task: experiment.task.name.to_owned(),
            method: experiment.method,
            seed: experiment.config.seed,
            layers: outcome.mask.layers,
            heads_per_layer: outcome.mask.heads_per_layer,
            estimator: experiment.estimator,
            norm: norm.to_owned(),
            split: experiment.config.importance.split,
            metric: experiment.task.metric.name().to_owned(),
            full_score: outcome.full_score,
            score: outcome.score,
            threshold: experiment.search.threshold,
            exhausted: outcome.exhausted,
            note: outcome.note,
            mask: outcome.mask,
            steps: outcome.steps,
        }
    }
}
