//! Pooler and classifier: logits = W dropout(tanh(P x_first + p)) + b.

use super::{
    encoder::Pass,
    params::{Layout, Params, disjoint},
};
use crate::ops::{fit, linear, product::Write, rng::Purpose};

/// What the backward pass needs.
#[derive(Default)]
pub(super) struct Saved {
    /// (B, H) before dropout
    pooled: Vec<f32>,
    /// (B, H) after it
    dropped: Vec<f32>,
    /// (B, labels)
    pub logits: Vec<f32>,
    d_pooled: Vec<f32>,
}

/// first (B, H), the first tokens' final states → logits (B, labels), in `saved`.
pub(super) fn forward(params: &Params, first: &[f32], pass: &Pass, saved: &mut Saved) {
    let at = &params.layout;
    let (h, labels) = (at.pooler_bias.len(), at.classifier_bias.len());
    let b = first.len() / h;
    let pooled = fit(&mut saved.pooled, b * h);
    linear::forward(
        pass.format,
        first,
        params.at(&at.pooler_weight),
        (b, h, h),
        Some(params.at(&at.pooler_bias)),
        pooled,
    );
    pooled.iter_mut().for_each(|v| *v = v.tanh());
    let dropped = fit(&mut saved.dropped, b * h);
    dropped.copy_from_slice(pooled);
    if let Some(mask) = pass.dropout.and_then(|plan| plan.hidden(Purpose::ClassifierDropout, 0)) {
        mask.apply(dropped);
    }
    saved.logits.resize(b * labels, 0.0);
    linear::forward(
        pass.format,
        dropped,
        params.at(&at.classifier_weight),
        (b, h, labels),
        Some(params.at(&at.classifier_bias)),
        &mut saved.logits,
    );
}

/// d_logits (B, labels) → d_first (B, H); weights' gradients are added to `gradient` when there is one.
pub(super) fn backward(
    params: &Params,
    first: &[f32],
    pass: &Pass,
    saved: &mut Saved,
    d_logits: &[f32],
    d_first: &mut [f32],
    gradient: Option<&mut [f32]>,
) {
    let Layout { pooler_weight, pooler_bias, classifier_weight, classifier_bias, .. } = &params.layout;
    let (h, labels) = (pooler_bias.len(), classifier_bias.len());
    let b = first.len() / h;
    let d = fit(&mut saved.d_pooled, b * h);
    linear::backward_input(
        pass.format,
        d_logits,
        params.at(classifier_weight),
        (b, h, labels),
        d,
        Write::Replace,
    );
    if let Some(mask) = pass.dropout.and_then(|plan| plan.hidden(Purpose::ClassifierDropout, 0)) {
        mask.apply(d);
    }
    d.iter_mut().zip(&saved.pooled).for_each(|(d, y)| *d *= 1.0 - y * y);
    if let Some(gradient) = gradient {
        let [weight, bias, pooler, pooler_bias] =
            disjoint(gradient, [classifier_weight, classifier_bias, pooler_weight, pooler_bias]);
        linear::backward_weight(pass.format, d_logits, &saved.dropped[..b * h], (b, h, labels), weight, bias);
        linear::backward_weight(pass.format, d, first, (b, h, h), pooler, pooler_bias);
    }
    linear::backward_input(pass.format, d, params.at(pooler_weight), (b, h, h), d_first, Write::Replace);
}
