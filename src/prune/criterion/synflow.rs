//! SynFlow as a score of heads and FFNs: Σ of the scores of their weights on the path, W_V and W_O or W_1 and W_2. No data.

use super::{flow::Flow, measure::Raw, normalise::RawImportance};
use crate::{
    error::Result,
    prune::{Mask, probe::Probe},
};

pub struct SynFlow {
    /// Whether sublayers add their inputs. Without, all flow passes every FFN, and FFNs are equal.
    pub residual: bool,
}

impl Raw for SynFlow {
    fn raw(&self, probe: &mut dyn Probe, mask: &Mask) -> Result<RawImportance> {
        let bert = mask.with_all_units().apply(probe.model())?;
        let flow = Flow::new(&bert, &mask.gates(), self.residual);
        let layers = 0..mask.layers();
        let heads = layers.clone().flat_map(|layer| flow.heads(layer)).collect();
        Ok(RawImportance { heads, ffns: layers.map(|layer| flow.ffn(layer)).collect() })
    }
}
