//! AdamW over all parameters in one pass, with the gradient's global clip; see [`crate::ops::adamw`].
//!
//! Whether a step is taken is decided on the device, so that nothing waits for the host. After one that is refused all
//! others are: they were asked for before anybody knew.

use super::{Argument, Buffer, Gpu, Grid, THREADS};
use crate::{
    error::Result,
    ops::{adamw::AdamW, pending::Pending},
};

/// Elements whose squares one block adds up.
const SQUARES_PER_BLOCK: usize = 1 << 14;

/// Threads of the block that adds those sums up.
const JUDGE_THREADS: usize = 512;

/// What a step was like. In device memory: `{double loss; double norm; float scale; uint32_t fine;}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub loss: f64,
    /// The gradient's, before it was clipped.
    pub norm: f64,
    /// Whether both are finite numbers, as those of all steps before, so that the step was taken.
    pub taken: bool,
}

impl Outcome {
    pub const BYTES: usize = 24;

    /// Fills it as it has to be before the first step: none has been refused.
    pub fn begin(buffer: &Buffer) -> Result<u64> {
        let mut bytes = [0u8; Self::BYTES];
        bytes[20] = 1;
        buffer.upload(&bytes)
    }

    /// As it is once all that was asked for before is done.
    pub fn fetch(gpu: &dyn Gpu, from: u64) -> Result<Pending<Self>> {
        let read = |bytes: Vec<u8>| Self {
            loss: bytemuck::pod_read_unaligned(&bytes[..8]),
            norm: bytemuck::pod_read_unaligned(&bytes[8..16]),
            taken: bytemuck::pod_read_unaligned::<u32>(&bytes[20..]) != 0,
        };
        Ok(gpu.fetch(from, Self::BYTES)?.map(read))
    }
}

/// Bytes that [`judge`] works in.
pub fn norm_scratch(len: usize) -> usize {
    len.div_ceil(SQUARES_PER_BLOCK) * 8
}

/// Completes the outcome of the step before, in which the loss stands already: the norm of the gradient (len), the
/// factor that brings it down to `clip` (0 = no clipping), and whether the step may be taken. `scratch` has room for
/// `norm_scratch(len)` bytes.
pub fn judge(gpu: &dyn Gpu, gradient: u64, len: usize, clip: f64, outcome: u64, scratch: u64) -> Result<()> {
    let parts = len.div_ceil(SQUARES_PER_BLOCK);
    gpu.launch(
        "gradient_squares",
        Grid::new(parts, THREADS),
        &[Argument::Address(gradient), Argument::U64(len as u64), Argument::Address(scratch)],
    )?;
    gpu.launch(
        "judge",
        Grid::new(1, JUDGE_THREADS),
        &[
            Argument::Address(scratch),
            Argument::U32(parts as u32),
            // A double, as the kernel sees it.
            Argument::U64(clip.to_bits()),
            Argument::Address(outcome),
        ],
    )
}

/// One step on the weights (len), number `steps` counted from 1, if the outcome allows it; else nothing. The gradient
/// and both moments are as long, and `copy`, the weights in bf16, which is rewritten. `decays` has one byte for every
/// 16 elements: 1 where weight decay applies. The gradient is left as it is.
#[allow(clippy::too_many_arguments)]
pub fn step(
    gpu: &dyn Gpu,
    optimizer: &AdamW,
    weights: u64,
    gradient: u64,
    first: u64,
    second: u64,
    copy: Option<u64>,
    decays: u64,
    len: usize,
    learning_rate: f64,
    steps: u32,
    outcome: u64,
) -> Result<()> {
    let t = f64::from(steps);
    let step_size = learning_rate / (1.0 - optimizer.beta1.powf(t));
    let inverse_root = 1.0 / (1.0 - optimizer.beta2.powf(t)).sqrt();
    let keep = 1.0 - learning_rate * optimizer.weight_decay;
    gpu.launch(
        "adamw",
        Grid::new(len.div_ceil(4 * THREADS), THREADS),
        &[
            Argument::Address(weights),
            Argument::Address(gradient),
            Argument::Address(first),
            Argument::Address(second),
            Argument::Address(copy.unwrap_or(0)),
            Argument::Address(decays),
            Argument::U64(len as u64),
            Argument::Address(outcome),
            Argument::F32(optimizer.beta1 as f32),
            Argument::F32(optimizer.beta2 as f32),
            // 1 - β, subtracted before rounding, as on the CPU.
            Argument::F32((1.0 - optimizer.beta1) as f32),
            Argument::F32((1.0 - optimizer.beta2) as f32),
            Argument::F32(optimizer.epsilon as f32),
            Argument::F32(step_size as f32),
            Argument::F32(inverse_root as f32),
            Argument::F32(keep as f32),
        ],
    )
}
