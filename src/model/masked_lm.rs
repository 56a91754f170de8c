//! The masked-LM head: logits = E LayerNorm(f(W x + w)) + b, f being the activation (GELU) and the word embeddings (Devlin et al. 2019,
//! section 3.1; Press and Wolf 2017 for the tied decoder). It reads the masked tokens alone.

use super::{
    backend::{Backend, Bias, Done, Norm, Normed, Sublayer},
    pass::Run,
};
use crate::ops::{activation::Activation, product::Write};

/// What the backward pass needs; M rows are masked tokens.
#[derive(Default)]
pub(crate) struct Saved<B> {
    /// (M, H) before the activation
    inner: B,
    normed: Normed<B>,
    /// (M, H): the decoder's input
    y: B,
    dy: B,
    scratch: B,
    /// (M, vocabulary), f32; how far the rows are apart is the backend's
    pub logits: B,
    /// (M, vocabulary); to be set before the backward pass
    pub d_logits: B,
}

fn function(run: &Run) -> Activation {
    run.config.family.transform_activation.unwrap_or(run.config.activation)
}

fn norm<'a>(run: &Run<'a>) -> Norm<'a> {
    Norm { gamma: &run.layout.transform_gamma, beta: &run.layout.transform_beta }
}

/// x (M, H) → logits (M, V), in `saved`.
pub(super) fn forward<O: Backend>(
    ops: &O,
    run: &Run,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
) -> Done<O> {
    let (m, h, v, at) = (run.read, run.config.hidden_size, run.config.vocab_size, run.layout);
    let Saved { inner, normed, y, logits, .. } = saved;
    let (weight, bias) = (&at.transform_weight, &at.transform_bias);
    ops.linear_activation(function(run), x, weight, bias, (m, h, h), inner, &mut normed.x_hat, true)?;
    ops.norm(m, normed, &Sublayer::PLAIN, norm(run), y, None)?;
    // (M, H) · (H, V)
    ops.decode(y, &at.words, &at.decoder_bias, (m, h, v), logits)
}

/// `saved.d_logits` (M, V) → dx (M, H). The gradient of the words' table is the first that is written there: what the
/// embeddings give is added to it afterwards.
pub(super) fn backward<O: Backend>(
    ops: &O,
    run: &Run,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
    dx: &mut O::Buffer,
    mut gradient: Option<&mut O::Gradient>,
) -> Done<O> {
    let (m, h, v, at) = (run.read, run.config.hidden_size, run.config.vocab_size, run.layout);
    let Saved { inner, normed, y, dy: d, scratch, d_logits, .. } = saved;
    let gradient = &mut gradient;
    ops.decode_backward(d_logits, y, &at.words, &at.decoder_bias, (m, h, v), d, gradient.as_deref_mut())?;
    ops.norm_backward(m, d, normed, &Sublayer::PLAIN, norm(run), scratch, gradient.as_deref_mut())?;
    ops.activation_backward(function(run), inner, d, [m, h], &at.transform_bias, gradient.as_deref_mut())?;
    if let Some(gradient) = gradient {
        let bias = Bias::Fused(&at.transform_bias);
        ops.linear_backward_weight(d, x, (m, h, h), &at.transform_weight, bias, gradient)?;
    }
    ops.linear_backward_input(d, &at.transform_weight, (m, h, h), dx, Write::Replace)
}
