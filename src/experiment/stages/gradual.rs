//! What a training prunes on its way: single weights, gradually (Zhu and Gupta 2017; Kurtic and Alistarh 2022, GMP★).

use super::USUAL;
use crate::{
    config::{ExperimentConfig, essential_section},
    error::Result,
    model::Bert,
    ops::{WeightMask, select::Order},
    prune::{Cubic, Kind, Mask, PruneRules, Sparsity, WeightSet, prune_weights},
    train::{Recipe, gradual::Pruner},
};
use serde::Serialize;

/// How much, of what, and when.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gradual {
    sparsity: Sparsity,
    #[serde(serialize_with = "essential_section")]
    prune: PruneRules,
}

impl Gradual {
    pub fn new(config: &ExperimentConfig) -> Self {
        Self { sparsity: config.prune.sparsity.unwrap_or(USUAL), prune: config.prune }
    }

    /// In a training of so many steps on so many sequences.
    pub fn over(self, total: u64, recipe: &Recipe, examples: usize) -> Gradually {
        Gradually { of: self, total, per_epoch: examples.div_ceil(recipe.batch_size) as u64 }
    }
}

/// The same in one training.
pub struct Gradually {
    of: Gradual,
    total: u64,
    per_epoch: u64,
}

impl Gradually {
    /// When, and to which share of all.
    fn cubic(&self, last: f64) -> Cubic {
        Cubic::new(&self.of.prune, last, self.total, self.per_epoch)
    }

    /// The smallest weights at the share that `share` finds pruned.
    fn held(&self, bert: &Bert, share: impl Fn(&Cubic) -> Option<f64>) -> Result<Option<WeightMask>> {
        let Gradual { sparsity, prune } = self.of;
        let config = &bert.config;
        let whole = Mask::full(config.num_hidden_layers, config.num_attention_heads);
        let whole = prune.weights.unwrap_or(WeightSet::Chen).of(&whole, &bert.params.layout);
        let total = whole.count(Kind::Weights).total;
        let last = sparsity.of_weights(total, bert.params.layout.encoder_parameters())?;
        let Some(share) = share(&self.cubic(last as f64 / total.max(1) as f64)) else { return Ok(None) };
        let n = (share * total as f64).round() as usize;
        let mask = prune_weights(&whole, &bert.params, n, prune.scope, Order::Smallest)?;
        mask.held(config, bert.head)
    }
}

impl Pruner for Gradually {
    fn is_due(&self, step: u64) -> bool {
        // When weights are pruned does not depend on how many.
        self.cubic(1.0).is_due(step)
    }

    fn mask(&self, step: u64, bert: &Bert) -> Result<WeightMask> {
        let held = self.held(bert, |cubic| Some(cubic.share(step)))?;
        Ok(held.unwrap_or_else(|| WeightMask::all_kept(bert.params.layout.len)))
    }

    fn reached(&self, steps: u64, bert: &Bert) -> Result<Option<WeightMask>> {
        self.held(bert, |cubic| cubic.reached(steps))
    }
}
