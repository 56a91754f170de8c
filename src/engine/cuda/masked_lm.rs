//! The masked-LM head: logits = E LayerNorm(gelu(W x + w)) + b; see [`crate::model::masked_lm`].

use super::pass::{Gradient, Pass};
use crate::{
    error::Result,
    model::params::Layout,
    ops::cuda::{
        Buffer, Format, Gpu, gelu,
        layer_norm::{self, Gradients, Sublayer},
        linear::{self, Rows},
    },
};
use std::rc::Rc;

/// What the backward pass needs, and its scratch; M rows are masked tokens.
pub(super) struct Saved {
    /// (M, H) before the GELU
    inner: Buffer,
    x_hat: Buffer,
    inverse: Buffer,
    /// (M, H): the decoder's input
    y: Buffer,
    dy: Buffer,
    /// (M, vocabulary), f32; the rows of both are [`stride`] elements apart
    pub logits: Buffer,
    /// (M, vocabulary); to be set before the backward pass
    pub d_logits: Buffer,
    /// (M) f32 and (M) u32: how well each word was found
    pub losses: Buffer,
    pub correct: Buffer,
}

const PLAIN: Sublayer = Sublayer { bias: None, dropout: None, gate: 1.0, residual: None };

impl Saved {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [inner, x_hat, inverse, y, dy, logits, d_logits, losses, correct] =
            [(); 9].map(|()| Buffer::new(gpu));
        Self { inner, x_hat, inverse, y, dy, logits, d_logits, losses, correct }
    }
}

/// Elements between the rows of logits, and of their gradient: a product reads and writes 16 bytes at once only where
/// they all begin at whole ones, which rows of BERT's vocabulary, no multiple of four, would not.
pub(super) fn stride(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(8)
}

/// x (M, H) → logits (M, V), in `saved`.
pub(super) fn forward(pass: &Pass, x: u64, saved: &Saved) -> Result<()> {
    let (gpu, weights, format, at) = (pass.gpu, pass.weights, pass.format(), &pass.weights.layout);
    let (m, h, v) = (pass.batch.chosen, pass.hidden(), at.decoder_bias.len());
    let (inner, a) = (saved.inner.activations(m * h, format)?, saved.x_hat.activations(m * h, format)?);
    linear::forward(gpu, format, x, weights.operand(&at.transform_weight), None, (m, h, h), inner, format)?;
    gelu::forward(gpu, format, inner, weights.f32(&at.transform_bias), a, m, h)?;
    let norm = pass.norm(&at.transform_gamma, &at.transform_beta);
    let (y, inverse) = (saved.y.activations(m * h, format)?, saved.inverse.floats(m)?);
    layer_norm::forward(gpu, format, a, &PLAIN, &norm, y, inverse, None, m, h)?;
    let (stride, bias) = (stride(v), weights.f32(&at.decoder_bias));
    let logits = Rows::apart(saved.logits.floats(m * stride)?, stride);
    // (M, H) · (H, V)
    linear::forward(gpu, format, y, weights.operand(&at.words), Some(bias), (m, h, v), logits, Format::F32)
}

/// `saved.d_logits` (M, V) → dx (M, H); the weights' gradients are written, that of the words' table too: what the
/// embeddings give is added to it afterwards.
pub(super) fn backward(pass: &Pass, x: u64, saved: &Saved, dx: u64, gradient: Gradient) -> Result<()> {
    let (gpu, weights, format) = (pass.gpu, pass.weights, pass.format());
    let Layout {
        words, transform_weight, transform_bias, transform_gamma, transform_beta, decoder_bias, ..
    } = &weights.layout;
    let (to, sums) = (|slot| gradient.of(slot), gradient.sums);
    let (m, h, v) = (pass.batch.chosen, pass.hidden(), decoder_bias.len());
    let d_logits = Rows::apart(saved.d_logits.address(), stride(v));
    let d = saved.dy.activations(m * h, format)?;
    let (inner, y) = (saved.inner.address(), saved.y.address());
    linear::backward_input(gpu, format, d_logits, weights.operand(words), (m, h, v), d, false)?;
    linear::backward_weight(gpu, format, d_logits, y, (m, h, v), to(words), false)?;
    linear::backward_bias(gpu, format, d_logits, m, v, to(decoder_bias), sums, false)?;
    let of_norm = Gradients { gamma: to(transform_gamma), beta: to(transform_beta), bias: None, sums };
    let (x_hat, inverse) = (saved.x_hat.address(), saved.inverse.address());
    let gamma = weights.f32(transform_gamma);
    layer_norm::backward(gpu, format, d, x_hat, inverse, gamma, &PLAIN, None, Some(&of_norm), m, h)?;
    gelu::backward(gpu, format, inner, d, m, h, Some((to(transform_bias), sums)))?;
    linear::backward_weight(gpu, format, d, x, (m, h, h), to(transform_weight), false)?;
    linear::backward_input(gpu, format, d, weights.operand(transform_weight), (m, h, h), dx, false)
}
