//! How units are scored.

use super::{
    importance::Importance,
    normalise::{Norm, PrunedUnits, RawImportance, scale},
};
use crate::{
    error::Result,
    prune::{Mask, probe::Probe},
};
use std::rc::Rc;

/// A rule that scores units: those of lowest importance go first.
pub trait Criterion {
    /// How its scores are made comparable, as tickets and records name it.
    fn norm(&self) -> &'static str;

    /// Measures what the importances at this mask are made of, in one pass over the data or in none.
    fn measure(&mut self, probe: &mut dyn Probe, mask: &Mask) -> Result<Rc<dyn Measurement>>;
}

/// What was measured at one mask. Stale searches rank the units of another mask by it.
pub trait Measurement {
    /// The importances among which units that this mask keeps are chosen.
    fn importance(&self, mask: &Mask) -> Importance;
}

impl Measurement for Importance {
    fn importance(&self, _: &Mask) -> Importance {
        self.clone()
    }
}

/// What heads and FFNs are scored by, before scores are made comparable over layers.
pub trait Raw {
    /// In one pass over the data or in none. NaN for units that were not measured.
    fn raw(&self, probe: &mut dyn Probe, mask: &Mask) -> Result<RawImportance>;
}

/// A criterion of raw scores and a norm.
pub struct Scaled {
    pub raw: Box<dyn Raw>,
    pub norm: Norm,
    pub pruned_units: PrunedUnits,
}

impl Criterion for Scaled {
    fn norm(&self) -> &'static str {
        self.norm.described(self.pruned_units)
    }

    fn measure(&mut self, probe: &mut dyn Probe, mask: &Mask) -> Result<Rc<dyn Measurement>> {
        let raw = self.raw.raw(probe, mask)?;
        Ok(Rc::new(Measured { raw, norm: self.norm, pruned_units: self.pruned_units }))
    }
}

struct Measured {
    raw: RawImportance,
    norm: Norm,
    pruned_units: PrunedUnits,
}

impl Measurement for Measured {
    fn importance(&self, mask: &Mask) -> Importance {
        scale(&self.raw, mask, self.pruned_units, self.norm)
    }
}
