//! How units are scored.

use super::importance::Importance;
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
