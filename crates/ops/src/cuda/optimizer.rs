//! An optimizer's step over all parameters in one pass, with the gradient's global clip; see [`crate::optimizer`].
//!
//! Whether a step is taken is decided on the device, so that nothing waits for the host. After one that is refused all
//! others are: they were asked for before anybody knew.

use super::{Argument, Buffer, Gpu, Grid, THREADS};
use crate::{
    error::Result,
    optimizer::{Optimizer, SLOTS},
    pending::Pending,
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

/// Completes the outcome of the step before, in which the loss stands already: the norm of the gradient (len), the factor
/// that brings it down to `clip` (0 = no clipping), and whether the step may be taken. With `kept`, one bit for each
/// element as in [`WeightMask::words`](crate::WeightMask::words), the norm is that of the kept elements. `scratch` has
/// room for `norm_scratch(len)` bytes.
pub fn judge(
    gpu: &dyn Gpu,
    gradient: u64,
    kept: Option<u64>,
    len: usize,
    clip: f64,
    outcome: u64,
    scratch: u64,
) -> Result<()> {
    let parts = len.div_ceil(SQUARES_PER_BLOCK);
    gpu.launch(
        "gradient_squares",
        Grid::new(parts, THREADS),
        &[
            Argument::Address(gradient),
            Argument::Address(kept.unwrap_or(0)),
            Argument::U64(len as u64),
            Argument::Address(scratch),
        ],
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

/// Where the numbers of `len` parameters begin.
pub struct Parameters<'a> {
    pub len: usize,
    pub weights: u64,
    pub gradient: u64,
    /// The optimizer's state, in the order of its slots.
    pub slots: &'a [u64],
    /// The weights in bf16.
    pub copy: Option<u64>,
    /// One byte for every 16 elements: 1 where weight decay applies.
    pub decays: u64,
    pub unkept: Unkept,
}

/// What becomes of elements that a mask does not keep, whose address this is: one bit for each element, as in [`judge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// There is no mask.
    None,
    /// They become zero, with their state.
    Zero(u64),
    /// They stay as they are, with their state.
    Frozen(u64),
}

/// One step on the weights, number `step` counted from 1, if the outcome allows it; else nothing. The copy in bf16 is
/// rewritten, the gradient is left as it is.
pub fn step(
    gpu: &dyn Gpu,
    optimizer: &Optimizer,
    on: &Parameters,
    learning_rate: f64,
    step: u32,
    outcome: u64,
) -> Result<()> {
    let slots = (0..SLOTS).map(|i| on.slots.get(i).copied().unwrap_or(0));
    let numbers = optimizer.numbers(learning_rate, step);
    let (kept, suffix) = match on.unkept {
        Unkept::None => (0, ""),
        Unkept::Zero(kept) => (kept, ""),
        Unkept::Frozen(kept) => (kept, "_frozen"),
    };
    let kernel = format!("{}{suffix}", optimizer.kernel());
    let arguments: Vec<Argument> = [on.weights, on.gradient]
        .into_iter()
        .chain(slots)
        .chain([on.copy.unwrap_or(0), on.decays, kept])
        .map(Argument::Address)
        .chain([Argument::U64(on.len as u64), Argument::Address(outcome)])
        .chain(numbers.map(Argument::F32))
        .collect();
    gpu.launch(&kernel, Grid::new(on.len.div_ceil(4 * THREADS), THREADS), &arguments)
}
