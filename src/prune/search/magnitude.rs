//! Single weights by their magnitude, step by step while the score holds (Prasanna et al. 2020, section 3, and their
//! code). The fine-tuned weights do not change between steps.

use super::trace::{Pass, Phase, Search, SearchRules, Step, Trace};
use crate::{
    error::Result,
    ops::select::Order,
    prune::{Criterion, Importance, Kind, Probe, PruneRules, WeightSet, probe::finite, prune_weights},
};

/// Prunes a share of the remaining weights per step, the smallest first, until a step is rejected or there were as many
/// steps as are allowed.
pub struct GlobalMagnitude {
    pub rules: SearchRules,
    pub prune: PruneRules,
}

impl Search for GlobalMagnitude {
    fn run(
        &self,
        probe: &mut dyn Probe,
        _: &mut dyn Criterion,
        on_pass: &mut dyn FnMut(&Pass),
    ) -> Result<Trace> {
        self.rules.validate()?;
        let set = self.prune.weights.unwrap_or(WeightSet::Prasanna);
        let whole = set.of(&probe.whole(), &probe.model().params.layout);
        let mut mask = whole.clone();
        let full_score = finite(probe.metric(&mask)?, 1, &mask)?;
        let threshold = self.rules.threshold * full_score;
        on_pass(&Pass { number: 1, mask: &mask, score: full_score, threshold, step: None });
        let (mut score, mut steps, mut note) = (full_score, Vec::new(), None);
        if full_score <= 0.0 {
            note = Some(super::trace::no_threshold(full_score));
        }
        while note.is_none() && steps.len() < self.prune.max_steps {
            let count = mask.count(Kind::Weights);
            let more = (self.prune.step * count.kept as f64).round() as usize;
            let pruned = count.total - count.kept + more;
            if more == 0 {
                break;
            }
            let params = &probe.model().params;
            let smaller = prune_weights(&mask, params, pruned, self.prune.scope, Order::Smallest)?;
            let number = steps.len() + 2;
            let reached = finite(probe.metric(&smaller)?, number, &smaller)?;
            let accepted = reached >= threshold;
            let step = Step {
                phase: Phase::Weights,
                accepted,
                score: reached,
                pruned_heads: Vec::new(),
                pruned_ffns: Vec::new(),
                pruned_weights: more,
                importance: Importance::default(),
            };
            on_pass(&Pass { number, mask: &smaller, score: reached, threshold, step: Some(&step) });
            steps.push(step);
            if !accepted {
                break;
            }
            (mask, score) = (smaller, reached);
        }
        let count = mask.count(Kind::Weights);
        let params = &probe.model().params;
        let opposite =
            prune_weights(&whole, params, count.total - count.kept, self.prune.scope, Order::Largest)?;
        Ok(Trace {
            full_score,
            score,
            exhausted: steps.last().is_some_and(|step| step.accepted),
            passes: 1 + steps.len(),
            opposite: Some(opposite),
            mask,
            steps,
            note,
        })
    }
}
