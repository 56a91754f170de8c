//! Physical removal of units: a removed head or FFN has no weights, no arithmetic and no optimizer state.
//!
//! What stays is what a gate of 0 leaves: the attention output's bias even when no head is left, the residual and both
//! LayerNorms. (The published code drops that bias: see docs/reproducibility.md.)

use super::{bert::Bert, params::LayerShape};

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
            let places = self.places_of(layer, &shape[layer].heads);
            let d = self.config.head_size();
            if entry.name.ends_with("attention.output.dense.weight") {
                // A head owns columns of (H, A).
                let (wide, narrow) = (source.shape[1], entry.shape[1]);
                for (to, from) in to.chunks_mut(narrow).zip(from.chunks(wide)) {
                    for (to, place) in to.chunks_mut(d).zip(&places) {
                        to.copy_from_slice(&from[place * d..(place + 1) * d]);
                    }
                }
            } else {
                // A head owns rows of the (A, H) weights and of the (A) biases.
                let rows = d * entry.shape.get(1).copied().unwrap_or(1);
                for (to, place) in to.chunks_mut(rows).zip(&places) {
                    to.copy_from_slice(&from[place * rows..(place + 1) * rows]);
                }
            }
        }
        small
    }

    /// Where the heads with these original numbers stand among the layer's present ones.
    fn places_of(&self, layer: usize, heads: &[usize]) -> Vec<usize> {
        let present = &self.shape[layer].heads;
        heads.iter().map(|h| present.iter().position(|p| p == h).expect("the head is present")).collect()
    }
}
