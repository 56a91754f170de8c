//! Gates on units and their gradients; see [`crate::model::gates`].

use super::{Argument, Format, Gpu, Grid, THREADS, gpu::named};
use crate::error::Result;

/// Scales each head's columns of x (rows, heads · d) by its gate: gates (heads) in f32.
pub fn scale_heads(
    gpu: &dyn Gpu,
    format: Format,
    x: u64,
    gates: u64,
    rows: usize,
    heads: usize,
    d: usize,
) -> Result<()> {
    let side = side(d);
    let count = rows * heads * d / side;
    gpu.launch(
        &named("scale_heads", format),
        Grid::new(count.div_ceil(THREADS), THREADS),
        &[
            Argument::Address(x),
            Argument::Address(gates),
            Argument::U64(count as u64),
            Argument::U32(heads as u32),
            Argument::U32((d / side) as u32),
            Argument::U32(side as u32),
        ],
    )
}

/// ⟨x, dx⟩ of every row and head: x and dx (rows, heads · d), out (rows, heads) in f32.
#[allow(clippy::too_many_arguments)]
pub fn products(
    gpu: &dyn Gpu,
    format: Format,
    x: u64,
    dx: u64,
    rows: usize,
    heads: usize,
    d: usize,
    out: u64,
) -> Result<()> {
    let lanes = d.div_ceil(side(d)).next_power_of_two().min(32);
    gpu.launch(
        &named("gate_products", format),
        Grid::new((rows * heads * lanes).div_ceil(THREADS), THREADS),
        &[
            Argument::Address(x),
            Argument::Address(dx),
            Argument::U64((rows * heads) as u64),
            Argument::U32(d as u32),
            Argument::U32(lanes as u32),
            Argument::Address(out),
        ],
    )
}

/// Elements that a thread reads at once.
fn side(d: usize) -> usize {
    if d.is_multiple_of(4) { 4 } else { 1 }
}
