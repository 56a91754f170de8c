//! Pooler and classifier: logits = W dropout(f(P x_first + p)) + b, f being tanh or ReLU; in a family without pooler
//! W dropout(x_first) + b.

use super::{
    backend::{Backend, Bias, Done},
    params::Layout,
    pass::Run,
};
use crate::ops::{dropout::Dropout, product::Write, rng::Purpose};

/// What the backward pass needs.
#[derive(Default)]
pub(crate) struct Saved<B> {
    /// (B, H): what the pooler reads, where dropout is applied to that
    read: B,
    /// (B, H) before dropout
    pooled: B,
    /// (B, H) after it; what the span head reads, (T, H), where dropout is applied to that
    pub(super) dropped: B,
    /// (B, labels), f32
    pub logits: B,
    /// (B, labels); to be set before the backward pass
    pub d_logits: B,
    d_pooled: B,
}

/// The mask on the classifier's input, and that on the pooler's.
fn masks(run: &Run) -> [Option<Dropout>; 2] {
    let mask = |site| run.pass.dropout.and_then(|plan| plan.hidden(Purpose::ClassifierDropout, site));
    let drops_input = run.config.family.pooler.is_some_and(|pooler| pooler.drops_input);
    [mask(0), mask(1).filter(|_| drops_input)]
}

fn drop_out<O: Backend>(ops: &O, run: &Run, mask: Option<&Dropout>, x: &mut O::Buffer) -> Done<O> {
    mask.map_or(Ok(()), |mask| ops.dropout(mask, x, run.read * run.config.hidden_size))
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
    let Saved { read, pooled, dropped, logits, .. } = saved;
    let [mask, of_input] = masks(run);
    if let Some(pooler) = run.config.family.pooler {
        if of_input.is_some() {
            ops.copy(first, read, b * h)?;
            drop_out(ops, run, of_input.as_ref(), read)?;
        }
        let x = if of_input.is_some() { read } else { first };
        ops.linear(x, pooler_weight, Some(pooler_bias), (b, h, h), pooled)?;
        ops.pooler_activation(pooler.activation, pooled, mask.as_ref(), dropped, b * h)?;
    } else {
        ops.copy(first, dropped, b * h)?;
        drop_out(ops, run, mask.as_ref(), dropped)?;
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
    let Saved { read, pooled, dropped, d_logits, d_pooled: d, .. } = saved;
    let (sizes, bias) = ((b, h, labels), Bias::Own(classifier_bias));
    let [mask, of_input] = masks(run);
    if let Some(gradient) = &mut gradient {
        ops.linear_backward_weight(d_logits, dropped, sizes, classifier_weight, bias, gradient)?;
    }
    let Some(pooler) = run.config.family.pooler else {
        ops.linear_backward_input(d_logits, classifier_weight, sizes, d_first, Write::Replace)?;
        return drop_out(ops, run, mask.as_ref(), d_first);
    };
    ops.linear_backward_input(d_logits, classifier_weight, sizes, d, Write::Replace)?;
    ops.pooler_activation_backward(pooler.activation, d, pooled, mask.as_ref(), b * h)?;
    if let Some(gradient) = gradient {
        let x = if of_input.is_some() { read } else { first };
        ops.linear_backward_weight(d, x, (b, h, h), pooler_weight, Bias::Own(pooler_bias), gradient)?;
    }
    ops.linear_backward_input(d, pooler_weight, (b, h, h), d_first, Write::Replace)?;
    drop_out(ops, run, of_input.as_ref(), d_first)
}
