//! The encoder: embeddings and layers, forward and backward.

use super::{
    attention_block, embeddings, ffn_block,
    pass::{Pass, Wanted},
};
use crate::{
    error::Result,
    ops::cuda::{Buffer, Gpu},
};
use std::{cell::Cell, rc::Rc};

/// The activations and scratch space of a pass; reused from batch to batch.
pub(super) struct Saved {
    embeddings: embeddings::Saved,
    layers: Vec<(attention_block::Saved, ffn_block::Saved)>,
    /// The place in `layers` of the last one.
    last: Cell<usize>,
    attention: attention_block::Scratch,
    ffn: ffn_block::Scratch,
    /// The gradient of the output of one block after another.
    pub dy: Buffer,
}

impl Saved {
    pub fn new(gpu: &Rc<dyn Gpu>, layers: usize) -> Self {
        Self {
            embeddings: embeddings::Saved::new(gpu),
            layers: (0..layers)
                .map(|_| (attention_block::Saved::new(gpu), ffn_block::Saved::new(gpu)))
                .collect(),
            last: Cell::new(0),
            attention: attention_block::Scratch::new(gpu),
            ffn: ffn_block::Scratch::new(gpu),
            dy: Buffer::new(gpu),
        }
    }

    /// (chosen rows, H): the encoder's output.
    pub fn output(&self) -> u64 {
        self.layers[self.last.get()].1.y.address()
    }
}

/// Computes the output at the chosen rows; `keep` says whether a backward pass will follow.
pub(super) fn forward(pass: &Pass, saved: &Saved, keep: bool) -> Result<()> {
    embeddings::forward(pass, &saved.embeddings)?;
    // Without a backward pass two layers' buffers serve in turn.
    let place = |l: usize| if keep { l } else { l % 2 };
    saved.last.set(place(pass.weights.shape.len() - 1));
    let mut x = saved.embeddings.y.address();
    for l in 0..pass.weights.shape.len() {
        let (attention, ffn) = &saved.layers[place(l)];
        attention_block::forward(&pass.layer(l), x, attention, &saved.attention)?;
        ffn_block::forward(&pass.layer(l), attention.y.address(), ffn)?;
        x = ffn.y.address();
    }
    Ok(())
}

/// From the gradient of the output, in `saved.dy`, to all that is wanted; after a `forward` of the same pass with `keep`.
/// `dy` has room for (T, H).
pub(super) fn backward(pass: &Pass, saved: &Saved, wanted: Wanted) -> Result<()> {
    let dy = saved.dy.address();
    for l in (0..pass.weights.shape.len()).rev() {
        let (layer, (attention, ffn)) = (pass.layer(l), &saved.layers[l]);
        ffn_block::backward(&layer, attention.y.address(), ffn, &saved.ffn, dy, wanted)?;
        let x = if l == 0 { saved.embeddings.y.address() } else { saved.layers[l - 1].1.y.address() };
        attention_block::backward(&layer, x, attention, &saved.attention, dy, wanted)?;
    }
    match wanted {
        Wanted::Weights(gradient) => embeddings::backward(pass, &saved.embeddings, dy, gradient),
        Wanted::Gates(_) => Ok(()),
    }
}
