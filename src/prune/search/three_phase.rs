//! Heads and FFNs together, then heads, then FFNs (Prasanna et al. 2020, in code).

use super::{
    steps::Steps,
    trace::{Pass, Phase, Search, SearchRules, Trace},
};
use crate::{
    error::Result,
    prune::{Criterion, Kind, Probe, Sparsity},
};

/// Joint steps (the lowest heads of a full step **and** the lowest FFN, or what is left of either) until one is rejected;
/// then, from the last accepted mask, half steps of heads; then single FFNs.
pub struct ThreePhase {
    pub rules: SearchRules,
    /// How much to prune, whatever the score.
    pub target: Option<Sparsity>,
}

impl Search for ThreePhase {
    fn run(
        &self,
        probe: &mut dyn Probe,
        criterion: &mut dyn Criterion,
        on_pass: &mut dyn FnMut(&Pass),
    ) -> Result<Trace> {
        let mut steps = Steps::begin(self.rules, self.target, probe, criterion, on_pass)?;
        if steps.can_prune() {
            let heads = steps.heads_per_step();
            steps.run(Phase::Joint, &[(Kind::Heads, heads), (Kind::Ffns, 1)])?;
            steps.run(Phase::Heads, &[(Kind::Heads, (heads / 2).max(1))])?;
            steps.run(Phase::Ffns, &[(Kind::Ffns, 1)])?;
        }
        Ok(steps.finish(&[Kind::Heads, Kind::Ffns]))
    }
}
