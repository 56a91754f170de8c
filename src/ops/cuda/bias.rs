//! A bias beside a product, where the library that multiplies does not add it.

use super::{Argument, Format, Gpu, Grid, THREADS};
use crate::error::Result;

/// c (m, n) += bias (n); the rows of c are `stride` elements apart. `formats` are those of c and of the bias.
pub fn add(
    gpu: &dyn Gpu,
    formats: (Format, Format),
    bias: u64,
    c: u64,
    (m, n, stride): (usize, usize, usize),
) -> Result<()> {
    let kernel = match formats {
        (Format::F32, Format::F32) => "add_bias_f32_f32",
        (Format::F32, Format::Bf16) => "add_bias_f32_bf16",
        (Format::Bf16, Format::F32) => "add_bias_bf16_f32",
        (Format::Bf16, Format::Bf16) => "add_bias_bf16_bf16",
    };
    gpu.launch(
        kernel,
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
