//! Units of one kind alone: full steps of heads, or single FFNs.

use super::{
    steps::Steps,
    trace::{Pass, Phase, Search, SearchRules, Trace},
};
use crate::{
    error::Result,
    prune::{Criterion, Kind, Probe, Sparsity},
};

/// Prunes units of this kind.
pub struct OneKind {
    pub kind: Kind,
    /// As its steps are called.
    pub phase: Phase,
    pub rules: SearchRules,
    /// How much to prune, whatever the score.
    pub target: Option<Sparsity>,
}

impl Search for OneKind {
    fn run(
        &self,
        probe: &mut dyn Probe,
        criterion: &mut dyn Criterion,
        on_pass: &mut dyn FnMut(&Pass),
    ) -> Result<Trace> {
        let mut steps = Steps::begin(self.rules, self.target, probe, criterion, on_pass)?;
        if steps.can_prune() {
            let units = if self.kind == Kind::Heads { steps.heads_per_step() } else { 1 };
            steps.run(self.phase, &[(self.kind, units)])?;
        }
        Ok(steps.finish(&[self.kind]))
    }
}
