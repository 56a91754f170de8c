//! The pooler's tanh with the dropout behind it.

use super::{Argument, Format, Gpu, Grid, THREADS, dropout, gpu::named};
use crate::{error::Result, ops::dropout::Dropout};

/// x (len) ← tanh(x), dropped (len) ← x ⊙ mask; without a mask it is a copy.
pub fn tanh_forward(
    gpu: &dyn Gpu,
    format: Format,
    x: u64,
    dropout: Option<&Dropout>,
    dropped: u64,
    len: usize,
) -> Result<()> {
    launch(gpu, "tanh_forward", format, [x, dropped], dropout, len)
}

/// d (len), the gradient by the dropped values, becomes that by tanh's input: d ← d ⊙ mask ⊙ (1 - y²), y (len) being
/// tanh's output.
pub fn tanh_backward(
    gpu: &dyn Gpu,
    format: Format,
    d: u64,
    y: u64,
    dropout: Option<&Dropout>,
    len: usize,
) -> Result<()> {
    launch(gpu, "tanh_backward", format, [d, y], dropout, len)
}

fn launch(
    gpu: &dyn Gpu,
    kernel: &str,
    format: Format,
    [x, y]: [u64; 2],
    dropout: Option<&Dropout>,
    len: usize,
) -> Result<()> {
    let mut arguments = vec![Argument::Address(x), Argument::Address(y), Argument::U64(len as u64)];
    arguments.extend(dropout::arguments(dropout));
    gpu.launch(&named(kernel, format), Grid::new(len.div_ceil(THREADS), THREADS), &arguments)
}
