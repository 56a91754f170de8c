//! The gradient of the loss by a gate on each head and FFN (Michel et al. 2019, eq. 4; Prasanna et al. 2020, section 3).

use super::{
    accumulate::{AbsoluteOf, Accumulator},
    importance::Importance,
    measure::{Criterion, Measurement},
    normalise::{PrunedUnits, RawImportance, normalise},
};
use crate::{
    error::Result,
    prune::{Mask, probe::Probe},
};
use std::rc::Rc;

/// Scores by gate gradients, each layer's heads divided by their L2 norm.
pub struct GateGradient {
    pub rule: AbsoluteOf,
    /// Examples of a batch, for the rules that know batches.
    pub batch_size: usize,
    pub pruned_units: PrunedUnits,
    /// Whether pruned units are measured too.
    pub every_unit: bool,
}

impl Criterion for GateGradient {
    fn norm(&self) -> &'static str {
        match self.pruned_units {
            PrunedUnits::Excluded => "layer-l2+minmax",
            PrunedUnits::Included => "layer-l2+minmax, pruned units included",
        }
    }

    fn measure(&mut self, probe: &mut dyn Probe, mask: &Mask) -> Result<Rc<dyn Measurement>> {
        let (layers, heads) = (mask.layers(), mask.heads_per_layer());
        let mut accumulator = Accumulator::new(self.rule, layers, heads, self.batch_size);
        probe.gate_gradients(mask, self.every_unit, &mut |example| accumulator.add_example(example))?;
        Ok(Rc::new(Measured { raw: accumulator.finish(), pruned_units: self.pruned_units }))
    }
}

struct Measured {
    raw: RawImportance,
    pruned_units: PrunedUnits,
}

impl Measurement for Measured {
    fn importance(&self, mask: &Mask) -> Importance {
        normalise(&self.raw, mask, self.pruned_units)
    }
}
