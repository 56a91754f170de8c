//! The gradient of the loss by a gate on each head and FFN (Michel et al. 2019, eq. 4; Prasanna et al. 2020, section 3;
//! squared: Kwon et al. 2022, "A fast post-training pruning framework for transformers", the diagonal of the empirical Fisher information).

use super::{
    accumulate::{AbsoluteOf, Accumulator},
    measure::Raw,
    normalise::RawImportance,
};
use crate::{
    error::Result,
    prune::{Mask, probe::Probe},
};

pub struct GateGradient {
    pub rule: AbsoluteOf,
    /// Examples of a batch, for the rules that know batches.
    pub batch_size: usize,
    /// Whether pruned units are measured too.
    pub every_unit: bool,
}

impl Raw for GateGradient {
    fn raw(&self, probe: &mut dyn Probe, mask: &Mask) -> Result<RawImportance> {
        let (layers, heads) = (mask.layers(), mask.heads_per_layer());
        let mut accumulator = Accumulator::new(self.rule, layers, heads, self.batch_size);
        probe.gate_gradients(mask, self.every_unit, &mut |example| accumulator.add_example(example))?;
        Ok(accumulator.finish())
    }
}
