//! How large a unit's output is: the mean over tokens of its L2 norm. No labels, no gradient. Of a head it is the context
//! before the attention's output matrix, of an FFN what it gives to its residual (Zhang, Colbert and Das 2022
//! average |activation| in its place).

use super::{measure::Raw, normalise::RawImportance};
use crate::{
    error::Result,
    prune::{GateSums, Mask, probe::Probe},
};

pub struct ActivationNorm {
    /// Whether pruned units are measured too.
    pub every_unit: bool,
}

impl Raw for ActivationNorm {
    fn raw(&self, probe: &mut dyn Probe, mask: &Mask) -> Result<RawImportance> {
        let (layers, width) = (mask.layers(), mask.heads_per_layer());
        let mut sums = RawImportance { heads: vec![0.0; layers * width], ffns: vec![0.0; layers] };
        let mut tokens = vec![0; layers];
        probe.output_norms(mask, self.every_unit, &mut |GateSums { heads, ffns, .. }, rows| {
            let of_kinds = [(&mut sums.heads, heads), (&mut sums.ffns, ffns)];
            for (sum, norm) in of_kinds.into_iter().flat_map(|(sums, norms)| sums.iter_mut().zip(norms)) {
                *sum += norm;
            }
            tokens.iter_mut().zip(rows).for_each(|(sum, rows)| *sum += rows);
        })?;
        let mean = |sum: &mut f64, layer: usize| *sum /= tokens[layer].max(1) as f64;
        sums.heads.iter_mut().enumerate().for_each(|(at, sum)| mean(sum, at / width));
        sums.ffns.iter_mut().enumerate().for_each(|(layer, sum)| mean(sum, layer));
        Ok(sums)
    }
}
