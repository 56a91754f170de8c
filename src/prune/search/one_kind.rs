//! Units of one kind alone.

use super::{
    steps::Steps,
    trace::{Pass, Phase, Search, SearchRules, Trace},
};
use crate::{
    error::Result,
    prune::{Criterion, Kind, Probe},
};

/// Full steps of heads.
pub struct HeadsOnly(pub SearchRules);

/// Single FFNs.
pub struct FfnsOnly(pub SearchRules);

impl Search for HeadsOnly {
    fn run(
        &self,
        probe: &mut dyn Probe,
        criterion: &mut dyn Criterion,
        on_pass: &mut dyn FnMut(&Pass),
    ) -> Result<Trace> {
        let mut steps = Steps::begin(self.0, probe, criterion, on_pass)?;
        if steps.can_prune() {
            steps.run(Phase::Heads, &[(Kind::Heads, steps.heads_per_step())])?;
        }
        Ok(steps.finish(&[Kind::Heads]))
    }
}

impl Search for FfnsOnly {
    fn run(
        &self,
        probe: &mut dyn Probe,
        criterion: &mut dyn Criterion,
        on_pass: &mut dyn FnMut(&Pass),
    ) -> Result<Trace> {
        let mut steps = Steps::begin(self.0, probe, criterion, on_pass)?;
        if steps.can_prune() {
            steps.run(Phase::Ffns, &[(Kind::Ffns, 1)])?;
        }
        Ok(steps.finish(&[Kind::Ffns]))
    }
}
