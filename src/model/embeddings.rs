//! Word, position and segment embeddings, LayerNorm, dropout.

use super::{
    config::BertConfig,
    encoder::Input,
    params::{Layout, Params, disjoint},
};
use crate::ops::{
    dropout::DropoutPlan,
    embedding::{self, Lookup},
    fit,
    layer_norm::{self, Gradients, Norm, Sublayer},
    rng::Purpose,
};

/// What the backward pass needs.
#[derive(Default)]
pub(super) struct Saved {
    x_hat: Vec<f32>,
    inverse: Vec<f32>,
    /// (T, H): the encoder's input.
    pub y: Vec<f32>,
}

const PLAIN: Sublayer<'static> = Sublayer { bias: None, dropout: None, gate: 1.0, residual: None };

pub(super) fn forward(
    config: &BertConfig,
    params: &Params,
    input: &Input,
    dropout: Option<&DropoutPlan>,
    saved: &mut Saved,
) {
    let (t, h, at) = (input.tokens(), config.hidden_size, &params.layout);
    let x = fit(&mut saved.x_hat, t * h);
    let lookups = [
        Lookup { table: params.at(&at.words), rows: input.ids },
        Lookup { table: params.at(&at.positions), rows: input.positions },
        Lookup { table: params.at(&at.segments), rows: input.segments },
    ];
    embedding::forward(&lookups, h, x);
    let norm = Norm {
        gamma: params.at(&at.embedding_gamma),
        beta: params.at(&at.embedding_beta),
        epsilon: config.layer_norm_eps as f32,
    };
    let y = fit(&mut saved.y, t * h);
    layer_norm::forward(x, &PLAIN, &norm, y, fit(&mut saved.inverse, t), None);
    if let Some(mask) = dropout.and_then(|plan| plan.hidden(Purpose::EmbeddingDropout, 0)) {
        mask.apply(y);
    }
}

/// Adds to `gradient` what dy (T, H), the gradient of the encoder's input, gives; `scratch` is overwritten.
pub(super) fn backward(
    params: &Params,
    input: &Input,
    dropout: Option<&DropoutPlan>,
    saved: &Saved,
    dy: &mut [f32],
    scratch: &mut [f32],
    gradient: &mut [f32],
) {
    let Layout { words, positions, segments, embedding_gamma, embedding_beta, .. } = &params.layout;
    let (t, h) = (input.tokens(), embedding_gamma.len());
    if let Some(mask) = dropout.and_then(|plan| plan.hidden(Purpose::EmbeddingDropout, 0)) {
        mask.apply(dy);
    }
    let [gamma, beta] = disjoint(gradient, [embedding_gamma, embedding_beta]);
    let sums = Gradients { gamma, beta };
    let gamma = params.at(embedding_gamma);
    layer_norm::backward(dy, &saved.x_hat[..t * h], &saved.inverse[..t], gamma, &PLAIN, scratch, Some(sums));
    for (rows, table) in [(input.ids, words), (input.positions, positions), (input.segments, segments)] {
        embedding::backward(rows, dy, h, &mut gradient[table.clone()]);
    }
}
