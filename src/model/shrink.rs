//! Physical removal of units: a removed head, FFN or FFN neuron has no weights, no arithmetic and no optimizer state.
//!
//! What stays is what a gate of 0 leaves: the attention output's bias even when no head is left, that of the FFN's output
//! when no neuron is, the residual and both LayerNorms. (The published code drops the attention's bias: see
//! docs/reproducibility.md.)

use super::{bert::Bert, params::Owner, shape::LayerShape};

impl Bert {
    /// A copy that has only the units of `shape`, each of which must be present.
    pub fn shrunk(&self, shape: &[LayerShape]) -> Self {
        let mut small = Self::zeros(self.config.clone(), shape.to_vec(), self.head);
        let Self { params, .. } = &mut small;
        for entry in &params.layout.entries {
            let to = &mut params.data[entry.range.clone()];
            let (source, from) =
                self.params.named(&entry.name).expect("a shrunk model's tensors exist in the whole one");
            let f = self.config.intermediate_size;
            let (places, width, columns) = match entry.owner {
                Owner::Heads { layer: l, columns } => {
                    (places(&self.shape[l].heads, &shape[l].heads), self.config.head_size(), columns)
                }
                Owner::Neurons { layer: l, columns } => {
                    let [present, kept] = [&self.shape[l], &shape[l]].map(|layer| layer.ffn.neurons(f));
                    (places(&present, &kept), 1, columns)
                }
                Owner::Model | Owner::Layer(_) => {
                    to.copy_from_slice(from);
                    continue;
                }
            };
            // A unit owns columns of the weight behind it, (H, A) or (H, F), else rows of (A, H) and (F, H) weights and
            // of biases.
            let (from_row, to_row, unit) = if columns {
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
