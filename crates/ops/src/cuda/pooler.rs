//! The pooler's activation with the dropout behind it.

use super::{Argument, Format, Gpu, Grid, THREADS, dropout, gpu::named};
use crate::{activation::PoolerActivation, dropout::Dropout, error::Result};

/// x (len) ← f(x), dropped (len) ← x ⊙ mask; without a mask it is a copy.
pub fn forward(
    gpu: &dyn Gpu,
    format: Format,
    function: PoolerActivation,
    x: u64,
    dropout: Option<&Dropout>,
    dropped: u64,
    len: usize,
) -> Result<()> {
    launch(gpu, (function, "forward"), format, [x, dropped], dropout, len)
}

/// d (len), the gradient by the dropped values, becomes that by f's input: d ← d ⊙ mask ⊙ f', y (len) being f's output.
pub fn backward(
    gpu: &dyn Gpu,
    format: Format,
    function: PoolerActivation,
    d: u64,
    y: u64,
    dropout: Option<&Dropout>,
    len: usize,
) -> Result<()> {
    launch(gpu, (function, "backward"), format, [d, y], dropout, len)
}

fn launch(
    gpu: &dyn Gpu,
    (function, pass): (PoolerActivation, &str),
    format: Format,
    [x, y]: [u64; 2],
    dropout: Option<&Dropout>,
    len: usize,
) -> Result<()> {
    let function = match function {
        PoolerActivation::Tanh => "tanh",
        PoolerActivation::Relu => "relu",
    };
    let mut arguments = vec![Argument::Address(x), Argument::Address(y), Argument::U64(len as u64)];
    arguments.extend(dropout::arguments(dropout));
    let kernel = named(&format!("pooler_{function}_{pass}"), format);
    gpu.launch(&kernel, Grid::new(len.div_ceil(THREADS), THREADS), &arguments)
}
