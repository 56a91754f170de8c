//! Word, position and segment embeddings, LayerNorm, dropout; see [`crate::model`]'s of that name.

use super::{
    batch::Part,
    pass::{Gradient, Pass},
};
use crate::{
    error::Result,
    ops::{
        cuda::{
            Buffer, Gpu, dropout, embedding,
            layer_norm::{self, Gradients, Sublayer},
        },
        dropout::Dropout,
        rng::Purpose,
    },
};
use std::rc::Rc;

/// What the backward pass needs, and its scratch.
pub(super) struct Saved {
    x_hat: Buffer,
    inverse: Buffer,
    /// (T, H): the encoder's input.
    pub y: Buffer,
    scratch: Buffer,
}

const PLAIN: Sublayer = Sublayer { bias: None, dropout: None, gate: 1.0, residual: None };

impl Saved {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [x_hat, inverse, y, scratch] = [(); 4].map(|()| Buffer::new(gpu));
        Self { x_hat, inverse, y, scratch }
    }
}

fn mask(pass: &Pass) -> Option<Dropout> {
    pass.dropout.and_then(|plan| plan.hidden(Purpose::EmbeddingDropout, 0))
}

pub(super) fn forward(pass: &Pass, saved: &Saved) -> Result<()> {
    let (gpu, weights, batch, format) = (pass.gpu, pass.weights, pass.batch, pass.format());
    let (t, h, at) = (batch.tokens, pass.hidden(), &weights.layout);
    let x = saved.x_hat.activations(t * h, format)?;
    let tables = [&at.words, &at.positions, &at.segments].map(|slot| weights.f32(slot));
    let rows = [Part::Ids, Part::Positions, Part::Segments].map(|part| batch.at(part));
    embedding::forward(gpu, format, tables, rows, x, t, h)?;
    let norm = pass.norm(&at.embedding_gamma, &at.embedding_beta);
    let (y, inverse) = (saved.y.activations(t * h, format)?, saved.inverse.floats(t)?);
    layer_norm::forward(gpu, format, x, &PLAIN, &norm, y, inverse, None, t, h)?;
    match mask(pass) {
        Some(mask) => dropout::apply(gpu, format, &mask, y, t * h),
        None => Ok(()),
    }
}

/// Writes to the gradient what dy (T, H), the gradient of the encoder's input, gives, and adds it to the tables'.
pub(super) fn backward(pass: &Pass, saved: &Saved, dy: u64, gradient: Gradient) -> Result<()> {
    let (gpu, weights, batch, format) = (pass.gpu, pass.weights, pass.batch, pass.format());
    let (t, h, at) = (batch.tokens, pass.hidden(), &weights.layout);
    if let Some(mask) = mask(pass) {
        dropout::apply(gpu, format, &mask, dy, t * h)?;
    }
    let sums = Gradients {
        gamma: gradient.of(&at.embedding_gamma),
        beta: gradient.of(&at.embedding_beta),
        bias: None,
        sums: gradient.sums,
    };
    let (x_hat, inverse) = (saved.x_hat.address(), saved.inverse.address());
    let gamma = weights.f32(&at.embedding_gamma);
    layer_norm::backward(gpu, format, dy, x_hat, inverse, gamma, &PLAIN, None, Some(&sums), t, h)?;
    for (users, table) in batch.users.iter().zip([&at.words, &at.positions, &at.segments]) {
        embedding::backward(gpu, format, users, dy, h, gradient.of(table), &saved.scratch)?;
    }
    Ok(())
}
