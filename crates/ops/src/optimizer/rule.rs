//! What each optimizer has to say for itself.

use super::piece::Piece;

/// The most numbers that a kernel takes for one step.
pub const NUMBERS: usize = 8;

/// An optimizer's arithmetic.
pub(super) trait Rule: Sync {
    /// The names of its slots, at most [`SLOTS`](super::SLOTS): checkpoints tell by them whose state they have.
    fn slots(&self) -> &'static [&'static str];

    /// Its kernel in `ops/cuda/optimizer.cu`.
    fn kernel(&self) -> &'static str;

    /// What its kernels on both devices are given for step `step`, counted from 1; those that it has no use for are 0.
    fn numbers(&self, learning_rate: f64, step: u32) -> [f32; NUMBERS];

    /// One step on some of the weights, with their gradient times a factor; clears the gradient. Weights that are not
    /// kept, and their slots, become +0.0.
    fn update(&self, piece: Piece, numbers: &[f32; NUMBERS], gradient_scale: f32);
}
