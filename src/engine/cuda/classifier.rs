//! Pooler and classifier: logits = W dropout(tanh(P x_first + p)) + b.

use super::pass::{Gradient, Pass};
use crate::{
    error::Result,
    model::params::Layout,
    ops::{
        cuda::{Buffer, Format, Gpu, activation, linear},
        dropout::Dropout,
        rng::Purpose,
    },
};
use std::rc::Rc;

/// What the backward pass needs, and its scratch.
pub(super) struct Saved {
    /// (B, H) before dropout
    pooled: Buffer,
    /// (B, H) after it
    dropped: Buffer,
    /// (B, labels), f32
    pub logits: Buffer,
    /// (B, labels); to be set before the backward pass
    pub d_logits: Buffer,
    d_pooled: Buffer,
}

impl Saved {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [pooled, dropped, logits, d_logits, d_pooled] = [(); 5].map(|()| Buffer::new(gpu));
        Self { pooled, dropped, logits, d_logits, d_pooled }
    }
}

fn mask(pass: &Pass) -> Option<Dropout> {
    pass.dropout.and_then(|plan| plan.hidden(Purpose::ClassifierDropout, 0))
}

/// first (B, H), the first tokens' final states → logits (B, labels), in `saved`.
pub(super) fn forward(pass: &Pass, first: u64, saved: &Saved) -> Result<()> {
    let (gpu, weights, format, at) = (pass.gpu, pass.weights, pass.format(), &pass.weights.layout);
    let (b, h, labels) = (pass.batch.sequences, pass.hidden(), at.classifier_bias.len());
    let pooled = saved.pooled.activations(b * h, format)?;
    let (weight, bias) = (weights.operand(&at.pooler_weight), weights.operand(&at.pooler_bias));
    linear::forward(gpu, format, first, weight, Some(bias), (b, h, h), pooled, format)?;
    let dropped = saved.dropped.activations(b * h, format)?;
    activation::tanh_forward(gpu, format, pooled, mask(pass).as_ref(), dropped, b * h)?;
    let logits = saved.logits.floats(b * labels)?;
    let (weight, bias) = (weights.operand(&at.classifier_weight), weights.f32(&at.classifier_bias));
    linear::forward(gpu, format, dropped, weight, Some(bias), (b, h, labels), logits, Format::F32)
}

/// `saved.d_logits` (B, labels) → d_first (B, H); the weights' gradients are written when they are wanted.
pub(super) fn backward(
    pass: &Pass,
    first: u64,
    saved: &Saved,
    d_first: u64,
    gradient: Option<Gradient>,
) -> Result<()> {
    let (gpu, weights, format) = (pass.gpu, pass.weights, pass.format());
    let Layout { pooler_weight, pooler_bias, classifier_weight, classifier_bias, .. } = &weights.layout;
    let (b, h, labels) = (pass.batch.sequences, pass.hidden(), classifier_bias.len());
    let (pooled, dropped) = (saved.pooled.address(), saved.dropped.address());
    let (d_logits, d) = (saved.d_logits.address(), saved.d_pooled.activations(b * h, format)?);
    linear::backward_input(
        gpu,
        format,
        d_logits,
        weights.operand(classifier_weight),
        (b, h, labels),
        d,
        false,
    )?;
    activation::tanh_backward(gpu, format, d, pooled, mask(pass).as_ref(), b * h)?;
    if let Some(gradient) = gradient {
        let (to, sums) = (|slot| gradient.of(slot), gradient.sums);
        linear::backward_weight(
            gpu,
            format,
            d_logits,
            dropped,
            (b, h, labels),
            to(classifier_weight),
            false,
        )?;
        linear::backward_bias(gpu, format, d_logits, b, labels, to(classifier_bias), sums, false)?;
        linear::backward_weight(gpu, format, d, first, (b, h, h), to(pooler_weight), false)?;
        linear::backward_bias(gpu, format, d, b, h, to(pooler_bias), sums, false)?;
    }
    linear::backward_input(gpu, format, d, weights.operand(pooler_weight), (b, h, h), d_first, false)
}
