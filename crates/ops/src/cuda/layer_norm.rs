//! The end of a BERT block in one pass: sublayer, residual and layer norm; see [`crate::layer_norm`].

use super::{
    Argument, Format, Gpu, Grid,
    chunks::{THREADS, blocks, vectors},
    dropout,
    gpu::named,
    sums::{Sums, parts},
};
use crate::{dropout::Dropout, error::Result};

/// Threads of a block of the backward kernel, which has one part of the rows: 12 warps.
const BACKWARD_THREADS: u32 = 12 * 32;

/// What the block's end adds to the normalised input. Row `r`, column `j` of (n, H) is dropout's element `r H + j`.
#[derive(Clone, Copy)]
pub struct Sublayer {
    /// (H) of f32.
    pub bias: Option<u64>,
    pub dropout: Option<Dropout>,
    /// 0 removes the sublayer's output, 1 keeps it; without a residual the forward pass does not apply it.
    pub gate: f32,
    /// (n, H).
    pub residual: Option<u64>,
}

/// Scale and shift, (H) of f32, and the constant under the root.
#[derive(Clone, Copy)]
pub struct Norm {
    pub gamma: u64,
    pub beta: u64,
    pub epsilon: f32,
}

/// x (n, H) becomes x̂; y (n, H) and 1/σ, `inverse` (n) of f32, are written; `output` (n, H) receives the sublayer's
/// ungated output when asked for.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    gpu: &dyn Gpu,
    format: Format,
    x: u64,
    sublayer: &Sublayer,
    norm: &Norm,
    y: u64,
    inverse: u64,
    output: Option<u64>,
    n: usize,
    h: usize,
) -> Result<()> {
    let (bias, residual) = (sublayer.bias.unwrap_or(0), sublayer.residual.unwrap_or(0));
    let output = output.unwrap_or(0);
    let mut all = vec![Argument::Address(x), Argument::Address(bias)];
    all.extend(dropout::arguments(sublayer.dropout.as_ref()));
    all.extend([
        Argument::F32(sublayer.gate),
        Argument::Address(residual),
        Argument::Address(norm.gamma),
        Argument::Address(norm.beta),
        Argument::F32(norm.epsilon),
        Argument::Address(y),
        Argument::Address(inverse),
        Argument::Address(output),
        Argument::U32(n as u32),
        Argument::U32(h as u32),
        vectors(h, &[x, bias, residual, norm.gamma, norm.beta, y, output]),
    ]);
    gpu.launch(&named("layer_norm_forward", format), Grid::new(blocks(n), THREADS), &all)
}

/// Where the sums over rows go when `sums` are finished, each (H) of f32: they are replaced, not added to.
pub struct Gradients<'a> {
    pub gamma: u64,
    pub beta: u64,
    pub bias: Option<u64>,
    pub sums: &'a Sums<'a>,
}

/// dy (n, H) becomes dz, the residual's gradient, in place; `dx` (n, H), when given, receives the gradient of the
/// sublayer's product (before its bias): gate · mask · dz.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    gpu: &dyn Gpu,
    format: Format,
    dy: u64,
    x_hat: u64,
    inverse: u64,
    gamma: u64,
    sublayer: &Sublayer,
    dx: Option<u64>,
    gradients: Option<&Gradients>,
    n: usize,
    h: usize,
) -> Result<()> {
    let dx = dx.unwrap_or(0);
    let room = |g: &Gradients| g.sums.add(parts(n), h, [Some(g.gamma), Some(g.beta), g.bias], false);
    let sums = gradients.map_or(Ok(0), room)?;
    let mut all = [dy, x_hat, inverse, gamma].map(Argument::Address).to_vec();
    all.extend(dropout::arguments(sublayer.dropout.as_ref()));
    all.extend([
        Argument::F32(sublayer.gate),
        Argument::Address(dx),
        Argument::Address(sums),
        Argument::U32(n as u32),
        Argument::U32(h as u32),
        vectors(h, &[dy, x_hat, gamma, dx, sums]),
    ]);
    let grid = Grid { blocks: [parts(n) as u32, 1, 1], threads: BACKWARD_THREADS, shared: 0 };
    gpu.launch(&named("layer_norm_backward", format), grid, &all)
}
