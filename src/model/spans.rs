//! The span head: logits = W x + b of every token, one column for where an answer starts and one for where it ends (Devlin
//! et al. 2019, section 4.2). In some families x is dropped out before.

use super::{
    backend::{Backend, Bias, Done, Sizes},
    classifier::Saved,
    params::Layout,
    pass::Run,
};
use crate::ops::{dropout::Dropout, product::Write, rng::Purpose};

fn mask(run: &Run) -> Option<Dropout> {
    let dropout = run.pass.dropout.filter(|_| run.config.family.drops_span_input);
    dropout.and_then(|plan| plan.hidden(Purpose::ClassifierDropout, 0))
}

fn sizes(run: &Run) -> Sizes {
    (run.read, run.config.hidden_size, run.layout.classifier_bias.len())
}

/// x (T, H) → logits (T, 2), in `saved`.
pub(super) fn forward<O: Backend>(
    ops: &O,
    run: &Run,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
) -> Done<O> {
    let Layout { classifier_weight, classifier_bias, .. } = run.layout;
    let (sizes, Saved { dropped, logits, .. }) = (sizes(run), saved);
    let x = match mask(run) {
        None => x,
        Some(mask) => {
            ops.copy(x, dropped, sizes.0 * sizes.1)?;
            ops.dropout(&mask, dropped, sizes.0 * sizes.1)?;
            dropped
        }
    };
    ops.logits(x, classifier_weight, classifier_bias, sizes, logits)
}

/// `saved.d_logits` (T, 2) → dx (T, H).
pub(super) fn backward<O: Backend>(
    ops: &O,
    run: &Run,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
    dx: &mut O::Buffer,
    gradient: Option<&mut O::Gradient>,
) -> Done<O> {
    let Layout { classifier_weight, classifier_bias, .. } = run.layout;
    let (sizes, mask, Saved { dropped, d_logits, .. }) = (sizes(run), mask(run), saved);
    if let Some(gradient) = gradient {
        let (x, bias) = (if mask.is_some() { dropped } else { x }, Bias::Own(classifier_bias));
        ops.linear_backward_weight(d_logits, x, sizes, classifier_weight, bias, gradient)?;
    }
    ops.linear_backward_input(d_logits, classifier_weight, sizes, dx, Write::Replace)?;
    mask.map_or(Ok(()), |mask| ops.dropout(&mask, dx, sizes.0 * sizes.1))
}
