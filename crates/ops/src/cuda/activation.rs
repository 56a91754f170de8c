//! Bias and an FFN's activation; see [`crate::activation`].

use super::{
    Argument, Format, Gpu, Grid,
    chunks::{CHUNK, vectors},
    gpu::named,
    sums::{Sums, parts},
};
use crate::{activation::Activation, error::Result};

/// Rows that a block of the forward kernel asks for at once.
const ROWS_AT_ONCE: usize = 4;

/// Rows of blocks that a grid can have.
const MOST_ROWS: usize = 65_535;

const FORWARD_THREADS: usize = 128;
/// Few, so that a matrix whose rows are in parts still fills the device.
const BACKWARD_THREADS: usize = 64;

/// Blocks whose warps have a chunk of the columns each, and `rows` rows of such blocks.
fn grid(columns: usize, rows: usize, threads: usize) -> Grid {
    let across = columns.div_ceil(threads / 32 * CHUNK);
    Grid { blocks: [across as u32, rows as u32, 1], threads: threads as u32, shared: 0 }
}

fn kernel(function: Activation, pass: &str, format: Format) -> String {
    let function = match function {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
        Activation::Relu => "relu",
    };
    named(&format!("{function}_{pass}"), format)
}

/// h (T, F) += bias (F), a ← f(h).
#[allow(clippy::too_many_arguments)]
pub fn forward(
    gpu: &dyn Gpu,
    format: Format,
    function: Activation,
    h: u64,
    bias: u64,
    a: u64,
    t: usize,
    f: usize,
) -> Result<()> {
    gpu.launch(
        &kernel(function, "forward", format),
        grid(f, t.div_ceil(ROWS_AT_ONCE).min(MOST_ROWS), FORWARD_THREADS),
        &[
            Argument::Address(h),
            Argument::Address(bias),
            Argument::Address(a),
            Argument::U32(t as u32),
            Argument::U32(f as u32),
            vectors(f, &[h, bias, a]),
        ],
    )
}

/// da (T, F) becomes dh in place; db (F) ← its column sums, when the sums are finished, if it is asked for.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    gpu: &dyn Gpu,
    format: Format,
    function: Activation,
    h: u64,
    da: u64,
    t: usize,
    f: usize,
    db: Option<(u64, &Sums)>,
) -> Result<()> {
    let parts_of_db = db.map_or(Ok(0), |(db, sums)| sums.add(parts(t), f, [Some(db)], false))?;
    gpu.launch(
        &kernel(function, "backward", format),
        grid(f, parts(t), BACKWARD_THREADS),
        &[
            Argument::Address(h),
            Argument::Address(da),
            Argument::U32(t as u32),
            Argument::U32(f as u32),
            Argument::Address(parts_of_db),
            vectors(f, &[h, da, parts_of_db]),
        ],
    )
}
