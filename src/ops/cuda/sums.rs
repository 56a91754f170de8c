//! Sums over rows in two launches: each block adds up the rows of its part, then the parts are added up in their order.

use super::{Argument, Gpu, Grid, THREADS};
use crate::error::Result;

/// Rows of one part.
pub const ROWS_PER_PART: usize = 32;

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
    gpu.launch(
        "add_parts",
        Grid::new(width.div_ceil(THREADS), THREADS),
        &[
            Argument::Address(parts),
            Argument::U32(count as u32),
            Argument::U32(width as u32),
            Argument::Address(sum),
            Argument::U32(u32::from(accumulate)),
        ],
    )
}
