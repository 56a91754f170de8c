//! Pooler and classifier: logits = W dropout(tanh(P x_first + p)) + b; in a family without pooler W dropout(x_first) + b.

use super::{
    backend::{Backend, Bias, Done},
    params::Layout,
    pass::Run,
};
use crate::ops::{dropout::Dropout, product::Write, rng::Purpose};

/// What the backward pass needs.
#[derive(Default)]
pub(crate) struct Saved<B> {
    /// (B, H) before dropout
    pooled: B,
    /// (B, H) after it
    dropped: B,
    /// (B, labels), f32
    pub logits: B,
    /// (B, labels); to be set before the backward pass
    pub d_logits: B,
    d_pooled: B,
}

fn mask(run: &Run) -> Option<Dropout> {
    run.pass.dropout.and_then(|plan| plan.hidden(Purpose::ClassifierDropout, 0))
}

fn drop_out<O: Backend>(ops: &O, run: &Run, x: &mut O::Buffer) -> Done<O> {
    mask(run).map_or(Ok(()), |mask| ops.dropout(&mask, x, run.read * run.config.hidden_size))
}

/// first (B, H), the first tokens' final states → logits (B, labels), in `saved`.
pub(super) fn forward<O: Backend>(
    ops: &O,
    run: &Run,
    first: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
) -> Done<O> {
    let Layout { pooler_weight, pooler_bias, classifier_weight, classifier_bias, .. } = run.layout;
    let (b, h, labels) = (run.read, run.config.hidden_size, classifier_bias.len());
    let Saved { pooled, dropped, logits, .. } = saved;
    if run.config.family.pooler.is_some() {
        ops.linear(first, pooler_weight, Some(pooler_bias), (b, h, h), pooled)?;
        ops.tanh(pooled, mask(run).as_ref(), dropped, b * h)?;
    } else {
        ops.copy(first, dropped, b * h)?;
        drop_out(ops, run, dropped)?;
    }
    ops.logits(dropped, classifier_weight, classifier_bias, (b, h, labels), logits)
}

/// `saved.d_logits` (B, labels) → d_first (B, H).
pub(super) fn backward<O: Backend>(
    ops: &O,
    run: &Run,
    first: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
    d_first: &mut O::Buffer,
    mut gradient: Option<&mut O::Gradient>,
) -> Done<O> {
    let Layout { pooler_weight, pooler_bias, classifier_weight, classifier_bias, .. } = run.layout;
    let (b, h, labels) = (run.read, run.config.hidden_size, classifier_bias.len());
    let Saved { pooled, dropped, d_logits, d_pooled: d, .. } = saved;
    let (sizes, bias) = ((b, h, labels), Bias::Own(classifier_bias));
    if let Some(gradient) = &mut gradient {
        ops.linear_backward_weight(d_logits, dropped, sizes, classifier_weight, bias, gradient)?;
    }
    if run.config.family.pooler.is_none() {
        ops.linear_backward_input(d_logits, classifier_weight, sizes, d_first, Write::Replace)?;
        return drop_out(ops, run, d_first);
    }
    ops.linear_backward_input(d_logits, classifier_weight, sizes, d, Write::Replace)?;
    ops.tanh_backward(d, pooled, mask(run).as_ref(), b * h)?;
    if let Some(gradient) = gradient {
        ops.linear_backward_weight(d, first, (b, h, h), pooler_weight, Bias::Own(pooler_bias), gradient)?;
    }
    ops.linear_backward_input(d, pooler_weight, (b, h, h), d_first, Write::Replace)
}
