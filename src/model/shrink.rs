//! Physical removal of units: a removed head, FFN or FFN neuron has no weights, no arithmetic and no optimizer state.
//!
//! What stays is what a gate of 0 leaves: the attention output's bias even when no head is left, that of the FFN's output
//! when no neuron is, the residual and both LayerNorms. (The published code drops the attention's bias: see
//! docs/reproducibility.md.)

use super::{bert::Bert, shape::LayerShape};

impl Bert {
    /// A copy that has only the units of `shape`, each of which must be present.
    pub fn shrunk(&self, shape: &[LayerShape]) -> Self {
        let mut small = Self::zeros(self.config.clone(), shape.to_vec(), self.head);
        let Self { params, .. } = &mut small;
        for entry in &params.layout.entries {
            let to = &mut params.data[entry.range.clone()];
            let (source, from) =
                self.params.named(&entry.name).expect("a shrunk model's tensors exist in the whole one");
            if source.shape == entry.shape {
                to.copy_from_slice(from);
                continue;
            }
            let layer: usize =
                entry.name.split('.').nth(3).and_then(|n| n.parse().ok()).expect("a layer's tensor");
            let (here, kept, f) = (&self.shape[layer], &shape[layer], self.config.intermediate_size);
            let is_of_heads = entry.name.contains(".attention.");
            let (places, width) = if is_of_heads {
                (places(&here.heads, &kept.heads), self.config.head_size())
            } else {
                (places(&here.ffn.neurons(f), &kept.ffn.neurons(f)), 1)
            };
            // A unit owns columns of the weight behind it, (H, A) or (H, F), else rows of (A, H) and (F, H) weights and
            // of biases.
            let (from_row, to_row, unit) = if entry.name.ends_with("output.dense.weight") {
                (source.shape[1], entry.shape[1], width)
            } else {
                (from.len(), to.len(), width * entry.shape.get(1).copied().unwrap_or(1))
            };
            for (to, from) in to.chunks_mut(to_row).zip(from.chunks(from_row)) {
                for (to, place) in to.chunks_mut(unit).zip(&places) {
                    to.copy_from_slice(&from[place * unit..(place + 1) * unit]);
                }
            }
        }
        small
    }
}

/// Where the kept units stand among the present ones; both by their ascending numbers in the unpruned layer.
fn places(present: &[usize], kept: &[usize]) -> Vec<usize> {
    kept.iter().map(|unit| present.binary_search(unit).expect("the unit is present")).collect()
}
