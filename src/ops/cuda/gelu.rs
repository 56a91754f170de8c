//! Bias and erf-GELU; see [`crate::ops::gelu`].

use super::{
    Argument, Format, Gpu, Grid, THREADS,
    gpu::named,
    sums::{Sums, parts},
};
use crate::error::Result;

/// h (T, F) += bias (F), a ← gelu(h).
pub fn forward(gpu: &dyn Gpu, format: Format, h: u64, bias: u64, a: u64, t: usize, f: usize) -> Result<()> {
    gpu.launch(
        &named("gelu_forward", format),
        Grid::new((t * f).div_ceil(4 * THREADS), THREADS),
        &[
            Argument::Address(h),
            Argument::Address(bias),
            Argument::Address(a),
            Argument::U32(t as u32),
            Argument::U32(f as u32),
        ],
    )
}

/// da (T, F) becomes dh in place; db (F) ← its column sums, when the sums are finished, if it is asked for.
pub fn backward(
    gpu: &dyn Gpu,
    format: Format,
    h: u64,
    da: u64,
    t: usize,
    f: usize,
    db: Option<(u64, &Sums)>,
) -> Result<()> {
    let parts_of_db = db.map_or(Ok(0), |(db, sums)| sums.add(parts(t), f, [Some(db)], false))?;
    let grid =
        Grid { blocks: [f.div_ceil(THREADS) as u32, parts(t) as u32, 1], threads: THREADS as u32, shared: 0 };
    gpu.launch(
        &named("gelu_backward", format),
        grid,
        &[
            Argument::Address(h),
            Argument::Address(da),
            Argument::U32(t as u32),
            Argument::U32(f as u32),
            Argument::Address(parts_of_db),
        ],
    )
}
