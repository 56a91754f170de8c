//! The masked-LM head: logits = E LayerNorm(gelu(W x + w)) + b, E being the word embeddings (Devlin et al. 2019,
//! section 3.1; Press and Wolf 2017 for the tied decoder). It reads the masked tokens alone.

use super::{
    bert::{Bert, Workspace},
    encoder::{self, Input, Pass, Wanted},
    params::{Layout, Params, disjoint},
};
use crate::ops::{
    Format, fit, gelu,
    layer_norm::{self, Gradients, Norm, Sublayer},
    linear,
    product::Write,
};

/// What the backward pass needs; M rows are masked tokens.
#[derive(Default)]
pub(super) struct Saved {
    /// (M, H) before the GELU
    inner: Vec<f32>,
    x_hat: Vec<f32>,
    inverse: Vec<f32>,
    /// (M, H): the decoder's input
    y: Vec<f32>,
    dy: Vec<f32>,
    scratch: Vec<f32>,
    /// (M, vocabulary); the loss replaces them by their gradient
    logits: Vec<f32>,
}

const PLAIN: Sublayer<'static> = Sublayer { bias: None, dropout: None, gate: 1.0, residual: None };

/// x (M, H) → logits (M, V), in `saved`.
fn forward(params: &Params, epsilon: f32, format: Format, x: &[f32], saved: &mut Saved) {
    let at = &params.layout;
    let (h, v) = (at.transform_bias.len(), at.decoder_bias.len());
    let m = x.len() / h;
    let (inner, a) = (fit(&mut saved.inner, m * h), fit(&mut saved.x_hat, m * h));
    let (weight, bias) = (params.at(&at.transform_weight), params.at(&at.transform_bias));
    gelu::linear_forward(format, x, weight, (m, h, h), bias, inner, Some(a));
    let norm = Norm { gamma: params.at(&at.transform_gamma), beta: params.at(&at.transform_beta), epsilon };
    let y = fit(&mut saved.y, m * h);
    layer_norm::forward(a, &PLAIN, &norm, y, fit(&mut saved.inverse, m), None);
    // (M, H) · (H, V)
    saved.logits.resize(m * v, 0.0);
    linear::forward(
        format,
        y,
        params.at(&at.words),
        (m, h, v),
        Some(params.at(&at.decoder_bias)),
        &mut saved.logits,
    );
}

/// The gradient by the logits, in their place → dx (M, H); weights' gradients are added when they are wanted.
fn backward(
    params: &Params,
    format: Format,
    x: &[f32],
    saved: &mut Saved,
    dx: &mut [f32],
    gradient: Option<&mut [f32]>,
) {
    let Layout {
        words, transform_weight, transform_bias, transform_gamma, transform_beta, decoder_bias, ..
    } = &params.layout;
    let (h, v) = (transform_bias.len(), decoder_bias.len());
    let m = x.len() / h;
    let d = fit(&mut saved.dy, m * h);
    linear::backward_input(format, &saved.logits, params.at(words), (m, h, v), d, Write::Replace);
    let (x_hat, inverse, inner) = (&saved.x_hat[..m * h], &saved.inverse[..m], &mut saved.inner[..m * h]);
    let (gamma, scratch) = (params.at(transform_gamma), fit(&mut saved.scratch, m * h));
    match gradient {
        Some(gradient) => {
            let [d_words, d_decoder, d_weight, d_bias, d_gamma, d_beta] = disjoint(
                gradient,
                [words, decoder_bias, transform_weight, transform_bias, transform_gamma, transform_beta],
            );
            linear::backward_weight(format, &saved.logits, &saved.y[..m * h], (m, h, v), d_words, d_decoder);
            let sums = Gradients { gamma: d_gamma, beta: d_beta };
            layer_norm::backward(d, x_hat, inverse, gamma, &PLAIN, scratch, Some(sums));
            gelu::backward(inner, d);
            linear::backward_weight(format, d, x, (m, h, h), d_weight, d_bias);
        }
        None => {
            layer_norm::backward(d, x_hat, inverse, gamma, &PLAIN, scratch, None);
            gelu::backward(inner, d);
        }
    }
    linear::backward_input(format, d, params.at(transform_weight), (m, h, h), dx, Write::Replace);
}

impl Workspace {
    /// (M, vocabulary) of the last masked pass; [`Bert::backward_masked`] expects their gradient in the same place.
    pub fn masked_logits(&mut self) -> &mut [f32] {
        &mut self.masked_lm.logits
    }
}

impl Bert {
    /// Computes the logits of the tokens at `rows` (M, ascending, at least one), found in `workspace` afterwards.
    ///
    /// # Panics
    /// If `rows` does not ascend or leaves the batch, or the model has another head.
    pub fn forward_masked(&self, input: &Input, rows: &[usize], pass: &Pass, workspace: &mut Workspace) {
        assert!(rows.is_sorted_by(|a, b| a < b) && rows.last().is_some_and(|last| *last < input.tokens()));
        let Workspace { encoder, masked_lm, .. } = workspace;
        encoder.chosen.rows.clear();
        encoder.chosen.rows.extend_from_slice(rows);
        encoder.chosen.offsets.clear();
        let before = |end: &usize| rows.partition_point(|row| row < end);
        encoder.chosen.offsets.extend(input.offsets.iter().map(before));
        encoder::forward(self, input, pass, encoder);
        let epsilon = self.config.layer_norm_eps as f32;
        forward(&self.params, epsilon, pass.format, encoder.output(self.config.hidden_size), masked_lm);
    }

    /// The gradients of the loss whose derivative stands in [`Workspace::masked_logits`], once after a
    /// `forward_masked` of the same input and pass with `keep`.
    pub fn backward_masked(&self, input: &Input, pass: &Pass, workspace: &mut Workspace, mut wanted: Wanted) {
        let Workspace { encoder, masked_lm, .. } = workspace;
        let h = self.config.hidden_size;
        let mut dy = std::mem::take(&mut encoder.dy);
        let x = encoder.output(h);
        backward(&self.params, pass.format, x, masked_lm, fit(&mut dy, x.len()), wanted.weights());
        encoder.dy = dy;
        encoder::backward(self, input, pass, encoder, wanted);
    }
}
