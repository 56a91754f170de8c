//! How much is pruned at once, and of what.

use super::{Scope, Sparsity, WeightSet};
use crate::choice::choices;
use serde::{Deserialize, Serialize};

choices! {
    /// How sparse the rounds of iterative pruning become.
    pub enum Rounds ("rule of prune.schedule") {
        /// each round prunes the same share of the original weights: 10, 20, 30 %, … (Chen et al. 2020, in code)
        Linear = "linear",
        /// each round prunes the same share of what remains: 10, 19, 27.1 %, … (Frankle and Carbin 2019)
        Geometric = "geometric",
    }
}

choices! {
    /// Whether the head that stands on the encoder is rewound with it.
    pub enum HeadRule ("rule of prune.head") {
        /// for every training: drawn anew, of a masked-LM head the pre-trained one
        Rewound = "rewound",
        /// kept from round to round of imp, and rewound for the final training (Chen et al. 2020, in code)
        Rounds = "rounds",
        /// kept from round to round, and for the final training
        Kept = "kept",
    }
}

choices! {
    /// The learning-rate schedule of iterative pruning's rounds.
    pub enum Rates ("rule of prune.rates") {
        /// each round's training has a whole one, as the final training has
        Round = "round",
        /// one goes over all rounds to a sparsity of 1, so that it falls little within one (Chen et al. 2020, in code)
        Whole = "whole",
    }
}

/// Of the methods that prune single weights, and of one-shot levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PruneRules {
    /// How much is pruned. Without it a search prunes while the score holds, and other methods as published.
    pub sparsity: Option<Sparsity>,
    /// The level of one-shot pruning; 0 prunes nothing.
    pub level: Option<usize>,
    /// Whether one-shot pruning keeps a head in every layer.
    pub head_per_layer: bool,
    /// Which single weights may be pruned; without it, those of the method's paper.
    pub weights: Option<WeightSet>,
    pub scope: Scope,
    /// Share of the remaining weights that a step of the search prunes, and of the weights that a round of iterative
    /// pruning does; in (0, 1).
    pub step: f64,
    /// Steps of the search at the most.
    pub max_steps: usize,
    pub schedule: Rounds,
    pub head: HeadRule,
    pub rates: Rates,
    /// Of gradual pruning: the share that its first step prunes; without it 7/9 of the final one, as published.
    pub initial: Option<f64>,
    /// The parts of the training before its first step, and before its last one.
    pub begin: f64,
    pub end: f64,
    /// Its steps in an epoch.
    pub frequency: usize,
}

impl Default for PruneRules {
    fn default() -> Self {
        Self {
            sparsity: None,
            level: None,
            head_per_layer: true,
            weights: None,
            scope: Scope::Global,
            step: 0.1,
            max_steps: 10,
            schedule: Rounds::Linear,
            head: HeadRule::Rewound,
            rates: Rates::Round,
            initial: None,
            begin: 2.0 / 30.0,
            end: 26.0 / 30.0,
            frequency: 10,
        }
    }
}

impl PruneRules {
    /// The shares of all weights that the rounds of iterative pruning reach, up to this one.
    pub fn rounds(&self, share: f64) -> Vec<f64> {
        let mut shares = Vec::new();
        for round in 1.. {
            let reached = match self.schedule {
                Rounds::Linear => self.step * f64::from(round),
                Rounds::Geometric => 1.0 - (1.0 - self.step).powi(round),
            };
            // 0.1 · 3 is a little more than 0.3.
            if reached >= share - 1e-9 {
                break;
            }
            shares.push((reached * 1e12).round() / 1e12);
        }
        shares.push(share);
        shares
    }

    /// The rounds that one learning-rate schedule goes over: as many steps as reach everything, and at least `rounds`.
    pub fn all_rounds(&self, rounds: usize) -> usize {
        ((1.0 / self.step).round() as usize).max(rounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_reach_the_published_shares_and_end_at_the_one_that_is_asked_for() {
        let rules = PruneRules::default();
        assert_eq!(rules.rounds(0.3), [0.1, 0.2, 0.3]);
        assert_eq!(rules.rounds(0.7), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
        assert_eq!(rules.rounds(0.25), [0.1, 0.2, 0.25]);
        assert_eq!(rules.rounds(0.05), [0.05]);
        assert_eq!((rules.all_rounds(3), rules.all_rounds(12)), (10, 12));
        let geometric = PruneRules { schedule: Rounds::Geometric, ..rules };
        assert_eq!(geometric.rounds(0.271), [0.1, 0.19, 0.271]);
        assert_eq!(geometric.rounds(0.3), [0.1, 0.19, 0.271, 0.3]);
    }
}
