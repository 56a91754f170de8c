//! From one number format to the other.

use super::{Argument, Gpu, Grid, THREADS};
use crate::error::Result;

/// to (len) in bf16 ← from (len) in f32, rounded to the nearest, ties to even. Both begin at multiples of 4 elements.
pub fn to_bf16(gpu: &dyn Gpu, from: u64, to: u64, len: usize) -> Result<()> {
    gpu.launch(
        "to_bf16",
        Grid::new(len.div_ceil(4 * THREADS), THREADS),
        &[Argument::Address(from), Argument::Address(to), Argument::U64(len as u64)],
    )
}
