//! Sums over rows in two launches: each block adds up the rows of its part, then the parts are added up: runs of
//! neighbours first, then those in their order.

use super::{Argument, Gpu, Grid};
use crate::error::Result;

/// Rows of one part: few, so that some thousand rows are many more parts than a device has multiprocessors, and a few more
/// rows do not double the time.
pub const ROWS_PER_PART: usize = 16;

/// Threads of a block that adds up parts of 32 columns, in sixteen runs.
pub(super) const RUN_THREADS: u32 = 16 * 32;

/// Parts into which this many rows are divided.
pub fn parts(rows: usize) -> usize {
    rows.div_ceil(ROWS_PER_PART)
}

/// sum (width) ← the sum of the parts (count, width), or += with `accumulate`.
pub fn add_parts(
    gpu: &dyn Gpu,
    parts: u64,
    count: usize,
    width: usize,
    sum: u64,
    accumulate: bool,
) -> Result<()> {
    add_all_parts(gpu, parts, count, width, [Some(sum)], accumulate)
}

/// As [`add_parts`] for up to three sums whose parts follow each other: parts (N, count, width). What is `None` is left
/// out.
pub fn add_all_parts<const N: usize>(
    gpu: &dyn Gpu,
    parts: u64,
    count: usize,
    width: usize,
    sums: [Option<u64>; N],
    accumulate: bool,
) -> Result<()> {
    const { assert!(N <= 3) };
    let sum = |i: usize| Argument::Address(sums.get(i).copied().flatten().unwrap_or(0));
    gpu.launch(
        "add_parts",
        Grid { blocks: [width.div_ceil(32) as u32, N as u32, 1], threads: RUN_THREADS, shared: 0 },
        &[
            Argument::Address(parts),
            Argument::U32(count as u32),
            Argument::U32(width as u32),
            sum(0),
            sum(1),
            sum(2),
            Argument::U32(u32::from(accumulate)),
        ],
    )
}
