//! Word, position and segment embeddings, LayerNorm, dropout.

use super::{
    backend::{Backend, Done, Norm, Normed, Sublayer, Tables},
    params::Layout,
    pass::Run,
};
use crate::ops::{dropout::Dropout, rng::Purpose};

fn tables<'a>(run: &Run<'a>) -> Tables<'a> {
    let Layout { words, positions, segments, .. } = run.layout;
    Tables { words, positions, token_types: run.config.family.token_types.map(|_| segments) }
}

fn norm<'a>(run: &Run<'a>) -> Norm<'a> {
    Norm { gamma: &run.layout.embedding_gamma, beta: &run.layout.embedding_beta }
}

fn mask(run: &Run) -> Option<Dropout> {
    run.pass.dropout.and_then(|plan| plan.hidden(Purpose::EmbeddingDropout, 0))
}

fn drop_out<O: Backend>(ops: &O, run: &Run, x: &mut O::Buffer) -> Done<O> {
    mask(run).map_or(Ok(()), |mask| ops.dropout(&mask, x, run.tokens * run.config.hidden_size))
}

/// The encoder's input y (T, H).
pub(super) fn forward<O: Backend>(
    ops: &O,
    run: &Run,
    normed: &mut Normed<O::Buffer>,
    y: &mut O::Buffer,
) -> Done<O> {
    ops.embed(&tables(run), run.config.hidden_size, &mut normed.x_hat)?;
    ops.norm(run.tokens, normed, &Sublayer::PLAIN, norm(run), y, None)?;
    drop_out(ops, run, y)
}

/// The y of [`forward`] once more, where outputs are not kept.
pub(super) fn again<O: Backend>(
    ops: &O,
    run: &Run,
    normed: &Normed<O::Buffer>,
    y: &mut O::Buffer,
) -> Done<O> {
    ops.norm_again(run.tokens, normed, norm(run), y)?;
    drop_out(ops, run, y)
}

/// From dy (T, H), the gradient of the encoder's input; `scratch` is overwritten.
pub(super) fn backward<O: Backend>(
    ops: &O,
    run: &Run,
    normed: &Normed<O::Buffer>,
    dy: &mut O::Buffer,
    scratch: &mut O::Buffer,
    gradient: &mut O::Gradient,
) -> Done<O> {
    drop_out(ops, run, dy)?;
    ops.norm_backward(run.tokens, dy, normed, &Sublayer::PLAIN, norm(run), scratch, Some(gradient))?;
    ops.embed_backward(dy, &tables(run), run.config.hidden_size, scratch, gradient)
}
