//! A bias beside a product, where the library that multiplies does not add it.

use super::{Argument, Format, Gpu, Grid, THREADS, gpu::named};
use crate::error::Result;

/// c (m, n) += bias (n), both of one format; the rows of c are `stride` elements apart.
pub fn add(
    gpu: &dyn Gpu,
    format: Format,
    bias: u64,
    c: u64,
    (m, n, stride): (usize, usize, usize),
) -> Result<()> {
    gpu.launch(
        &named("add_bias", format),
        Grid::new((m * n).div_ceil(THREADS), THREADS),
        &[
            Argument::Address(bias),
            Argument::Address(c),
            Argument::U32(m as u32),
            Argument::U32(n as u32),
            Argument::U64(stride as u64),
        ],
    )
}
