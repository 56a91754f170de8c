//! Rows of a matrix that a list names: the tokens whose outputs are wanted.

use super::{
    Argument, Format, Gpu, Grid,
    chunks::{THREADS, blocks, vectors},
    gpu::named,
};
use crate::error::Result;

/// out (n, H) ← the rows of x that `rows` (n) of u32 names, each as often as it is named.
pub fn gather(gpu: &dyn Gpu, format: Format, x: u64, rows: u64, n: usize, h: usize, out: u64) -> Result<()> {
    launch(gpu, &named("rows_gather", format), [x, rows, out], n, h)
}

/// to[rows[i]] += d[i] for the rows of d (n, H); `rows` (n) of u32 names none twice.
pub fn scatter_add(
    gpu: &dyn Gpu,
    format: Format,
    d: u64,
    rows: u64,
    n: usize,
    h: usize,
    to: u64,
) -> Result<()> {
    launch(gpu, &named("rows_scatter_add", format), [d, rows, to], n, h)
}

fn launch(gpu: &dyn Gpu, kernel: &str, [from, rows, to]: [u64; 3], n: usize, h: usize) -> Result<()> {
    gpu.launch(
        kernel,
        Grid::new(blocks(n), THREADS),
        &[
            Argument::Address(from),
            Argument::Address(rows),
            Argument::U32(n as u32),
            Argument::U32(h as u32),
            Argument::Address(to),
            vectors(h, &[from, to]),
        ],
    )
}
