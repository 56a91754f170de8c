//! The size of a unit's own weights: no data, no gradient (of |w|: Li et al. 2017, "Pruning filters for efficient
//! ConvNets", section 3.1, whose units are of one size).

use super::{measure::Raw, normalise::RawImportance};
use crate::{
    error::Result,
    model::Bert,
    prune::{Mask, probe::Probe},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightSize {
    /// √Σ w²
    L2,
    /// The mean of |w|.
    Mean,
}

impl Raw for WeightSize {
    /// A head owns its rows of Q, K and V and its columns of the output matrix, an FFN both of its matrices; biases do not
    /// count. Pruned units have the size that they would have.
    fn raw(&self, probe: &mut dyn Probe, mask: &Mask) -> Result<RawImportance> {
        let bert = mask.with_all_units().apply(probe.model())?;
        let layers = 0..mask.layers();
        let heads = layers.clone().flat_map(|layer| self.heads(&bert, layer)).collect();
        Ok(RawImportance { heads, ffns: layers.map(|layer| self.ffn(&bert, layer)).collect() })
    }
}

impl WeightSize {
    fn heads(self, bert: &Bert, layer: usize) -> Vec<f64> {
        let (slots, config) = (&bert.params.layout.layers[layer], &bert.config);
        let (n, d, h) = (config.num_attention_heads, config.head_size(), config.hidden_size);
        let mut sums = vec![0.0; n];
        // (3A, H): row r belongs to head (r mod A) / d.
        for (row, weights) in bert.params.at(&slots.qkv_weight).chunks(h).enumerate() {
            sums[row % (n * d) / d] += self.sum(weights);
        }
        // (H, A)
        for (part, weights) in bert.params.at(&slots.output_weight).chunks(d).enumerate() {
            sums[part % n] += self.sum(weights);
        }
        sums.into_iter().map(|sum| self.size(sum, 4 * d * h)).collect()
    }

    fn ffn(self, bert: &Bert, layer: usize) -> f64 {
        let slots = &bert.params.layout.layers[layer];
        let both = [&slots.up_weight, &slots.down_weight].map(|slot| bert.params.at(slot));
        self.size(both.iter().map(|weights| self.sum(weights)).sum(), both[0].len() + both[1].len())
    }

    fn sum(self, weights: &[f32]) -> f64 {
        let weights = weights.iter().map(|w| f64::from(*w));
        match self {
            Self::L2 => weights.map(|w| w * w).sum(),
            Self::Mean => weights.map(f64::abs).sum(),
        }
    }

    fn size(self, sum: f64, weights: usize) -> f64 {
        match self {
            Self::L2 => sum.sqrt(),
            Self::Mean => sum / weights.max(1) as f64,
        }
    }
}
