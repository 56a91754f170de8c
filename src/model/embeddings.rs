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
}

const PLAIN: Sublayer<'static> = Sublayer { bias: None, dropout: None, gate: 1.0, residual: None };

fn norm<'a>(config: &BertConfig, params: &'a Params) -> Norm<'a> {
    let at = &params.layout;
    let (gamma, beta) = (params.at(&at.embedding_gamma), params.at(&at.embedding_beta));
    Norm { gamma, beta, epsilon: config.layer_norm_eps as f32 }
}

fn drop_out(dropout: Option<&DropoutPlan>, y: &mut [f32]) {
    if let Some(mask) = dropout.and_then(|plan| plan.hidden(Purpose::EmbeddingDropout, 0)) {
        mask.apply(y);
    }
}

impl Saved {
    /// The encoder's input (T, H) once more.
    pub fn output(&self, config: &BertConfig, params: &Params, dropout: Option<&DropoutPlan>, y: &mut [f32]) {
        layer_norm::output(&self.x_hat[..y.len()], &norm(config, params), y);
        drop_out(dropout, y);
    }
}

/// The encoder's input y (T, H).
pub(super) fn forward(
    config: &BertConfig,
    params: &Params,
    input: &Input,
    dropout: Option<&DropoutPlan>,
    saved: &mut Saved,
    y: &mut [f32],
) {
    let (t, h, at) = (input.tokens(), config.hidden_size, &params.layout);
    let x = fit(&mut saved.x_hat, t * h);
    let lookups = [
        Lookup { table: params.at(&at.words), rows: input.ids },
        Lookup { table: params.at(&at.positions), rows: input.positions },
        Lookup { table: params.at(&at.segments), rows: input.segments },
    ];
    embedding::forward(&lookups, h, x);
    layer_norm::forward(x, &PLAIN, &norm(config, params), y, fit(&mut saved.inverse, t), None);
    drop_out(dropout, y);
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
    drop_out(dropout, dy);
    let [gamma, beta] = disjoint(gradient, [embedding_gamma, embedding_beta]);
    let sums = Gradients { gamma, beta };
    let gamma = params.at(embedding_gamma);
    layer_norm::backward(dy, &saved.x_hat[..t * h], &saved.inverse[..t], gamma, &PLAIN, scratch, Some(sums));
    for (rows, table) in [(input.ids, words), (input.positions, positions), (input.segments, segments)] {
        embedding::backward(rows, dy, h, &mut gradient[table.clone()]);
    }
}
