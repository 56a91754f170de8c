//! Losses with their gradients; see [`crate::loss`]. A class or word that there is none of has the loss NaN.

use super::{Argument, Format, Gpu, Grid, THREADS, gpu::named};
use crate::error::Result;

/// Threads of a block that has a row of words' logits.
const WORD_THREADS: usize = 512;

/// What the logits are compared with: addresses in device memory.
#[derive(Clone, Copy, Debug)]
pub enum Targets {
    /// One class number (u32) per example; logits (B, C).
    Classes(u64),
    /// One score (f32) per example; logits (B, 1).
    Scores(u64),
}

/// The gradient of the mean loss by the logits (B, labels) in f32 → d_logits (B, labels); loss, an f64, ← that mean.
#[allow(clippy::too_many_arguments)]
pub fn mean(
    gpu: &dyn Gpu,
    format: Format,
    logits: u64,
    targets: Targets,
    b: usize,
    labels: usize,
    d_logits: u64,
    loss: u64,
) -> Result<()> {
    examples(gpu, format, 1, logits, targets, (b, labels), b as f32, d_logits, loss)
}

/// The gradient of each example's own loss by its logits (B, labels) in f32 → d_logits (B, labels), not divided by the
/// batch.
pub fn per_example(
    gpu: &dyn Gpu,
    format: Format,
    logits: u64,
    targets: Targets,
    b: usize,
    labels: usize,
    d_logits: u64,
) -> Result<()> {
    examples(gpu, format, b.div_ceil(THREADS), logits, targets, (b, labels), 1.0, d_logits, 0)
}

#[allow(clippy::too_many_arguments)]
fn examples(
    gpu: &dyn Gpu,
    format: Format,
    blocks: usize,
    logits: u64,
    targets: Targets,
    (b, labels): (usize, usize),
    divisor: f32,
    d_logits: u64,
    loss: u64,
) -> Result<()> {
    let (classes, scores) = match targets {
        Targets::Classes(classes) => (classes, 0),
        Targets::Scores(scores) => (0, scores),
    };
    gpu.launch(
        &named("example_losses", format),
        Grid::new(blocks, THREADS),
        &[
            Argument::Address(logits),
            Argument::Address(classes),
            Argument::Address(scores),
            Argument::U32(b as u32),
            Argument::U32(labels as u32),
            Argument::F32(divisor),
            Argument::Address(d_logits),
            Argument::Address(loss),
        ],
    )
}

/// Cross-entropy over a vocabulary: logits (M, V) in f32 and words (M), u32 → the gradient of the mean loss, d_logits
/// (M, V), which in f32 may be the logits' own memory; the rows of both are `stride` elements apart; losses (M) in f32;
/// correct (M), u32, 1 where no word is likelier; loss, an f64, ← the mean.
#[allow(clippy::too_many_arguments)]
pub fn words(
    gpu: &dyn Gpu,
    format: Format,
    logits: u64,
    words: u64,
    (m, v, stride): (usize, usize, usize),
    d_logits: u64,
    losses: u64,
    correct: u64,
    loss: u64,
) -> Result<()> {
    gpu.launch(
        &named("words", format),
        Grid::new(m, WORD_THREADS),
        &[
            Argument::Address(logits),
            Argument::Address(words),
            Argument::U32(v as u32),
            Argument::U32(stride as u32),
            Argument::F32(1.0 / m as f32),
            Argument::Address(d_logits),
            Argument::Address(losses),
            Argument::Address(correct),
        ],
    )?;
    mean_of(gpu, losses, m, loss)
}

/// Cross-entropies over the tokens of each of `b` sequences, which begin at `offsets` (b + 1), u32, of their logits
/// (tokens, 2) in f32: the gradient of each sequence's loss by its own, divided by `divisor` → d_logits (tokens, 2);
/// losses (b) in f32. `targets` has the starts (b), then the ends (b), u32.
#[allow(clippy::too_many_arguments)]
pub fn spans(
    gpu: &dyn Gpu,
    format: Format,
    logits: u64,
    offsets: u64,
    targets: u64,
    b: usize,
    divisor: f32,
    d_logits: u64,
    losses: u64,
) -> Result<()> {
    gpu.launch(
        &named("span_losses", format),
        Grid::new(b, THREADS),
        &[
            Argument::Address(logits),
            Argument::Address(offsets),
            Argument::Address(targets),
            Argument::F32(divisor),
            Argument::Address(d_logits),
            Argument::Address(losses),
        ],
    )
}

/// loss, an f64, ← the mean of losses (n) in f32.
pub fn mean_of(gpu: &dyn Gpu, losses: u64, n: usize, loss: u64) -> Result<()> {
    gpu.launch(
        "mean_loss",
        Grid::new(1, THREADS),
        &[Argument::Address(losses), Argument::U32(n as u32), Argument::Address(loss)],
    )
}
