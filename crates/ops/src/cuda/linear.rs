//! The linear layer: y = x Wᵀ + b, and both its gradients; see [`crate::linear`].
//!
//! A product without an inner dimension never reaches the device's library: it is zeros.

use super::{
    Argument, Format, Gpu, Grid, Matrix, Product, THREADS,
    chunks::vectors,
    gpu::named,
    sums::{Sums, parts},
};
use crate::error::Result;

/// Threads of a block that sums columns: few, so that a narrow matrix still fills the device.
const SUM_THREADS: usize = 64;

/// A matrix whose rows need not follow each other; of an address alone they do.
#[derive(Clone, Copy)]
pub struct Rows {
    address: u64,
    stride: Option<usize>,
}

impl Rows {
    /// Rows that start this many elements apart.
    pub fn apart(address: u64, stride: usize) -> Self {
        Self { address, stride: Some(stride) }
    }

    fn matrix(self, width: usize, transposed: bool) -> Matrix {
        Matrix { address: self.address, stride: self.stride.unwrap_or(width), transposed }
    }
}

impl From<u64> for Rows {
    fn from(address: u64) -> Self {
        Self { address, stride: None }
    }
}

/// y (n, o) ← x (n, i) Wᵀ + bias: W as (o, i) in the format of x, bias (o) in that of y, which is x's or f32.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    gpu: &dyn Gpu,
    format: Format,
    x: u64,
    w: u64,
    bias: Option<u64>,
    (n, i, o): (usize, usize, usize),
    y: impl Into<Rows>,
    y_format: Format,
) -> Result<()> {
    let y = y.into().matrix(o, false);
    if let (0, Some(bias)) = (i, bias) {
        return gpu.launch(
            &named("bias_rows", y_format),
            Grid::new((n * o).div_ceil(THREADS), THREADS),
            &[
                Argument::Address(bias),
                Argument::U32(n as u32),
                Argument::U32(o as u32),
                Argument::U64(y.stride as u64),
                Argument::Address(y.address),
            ],
        );
    }
    product(
        gpu,
        &Product {
            shape: (n, o, i),
            format,
            a: Matrix { address: x, stride: i, transposed: false },
            b: Matrix { address: w, stride: i, transposed: true },
            c: y,
            c_format: y_format,
            accumulate: false,
            bias,
        },
    )
}

/// dx (n, i) ← dy (n, o) W, or += with `accumulate`; all in one format.
pub fn backward_input(
    gpu: &dyn Gpu,
    format: Format,
    dy: impl Into<Rows>,
    w: u64,
    (n, i, o): (usize, usize, usize),
    dx: u64,
    accumulate: bool,
) -> Result<()> {
    product(
        gpu,
        &Product {
            shape: (n, i, o),
            format,
            a: dy.into().matrix(o, false),
            b: Matrix { address: w, stride: i, transposed: false },
            c: Matrix { address: dx, stride: i, transposed: false },
            c_format: format,
            accumulate,
            bias: None,
        },
    )
}

/// dW (o, i) in f32 ← dyᵀ x, or += with `accumulate`: dy (n, o), x (n, i).
pub fn backward_weight(
    gpu: &dyn Gpu,
    format: Format,
    dy: impl Into<Rows>,
    x: u64,
    (n, i, o): (usize, usize, usize),
    dw: u64,
    accumulate: bool,
) -> Result<()> {
    product(
        gpu,
        &Product {
            shape: (o, i, n),
            format,
            a: dy.into().matrix(o, true),
            b: Matrix { address: x, stride: i, transposed: false },
            c: Matrix { address: dw, stride: i, transposed: false },
            c_format: Format::F32,
            accumulate,
            bias: None,
        },
    )
}

/// db (o) in f32 ← the sum of dy's rows (n, o), or += with `accumulate`, when the sums are finished.
#[allow(clippy::too_many_arguments)]
pub fn backward_bias(
    gpu: &dyn Gpu,
    format: Format,
    dy: impl Into<Rows>,
    n: usize,
    o: usize,
    db: u64,
    sums: &Sums,
    accumulate: bool,
) -> Result<()> {
    let parts_of_db = sums.add(parts(n), o, [Some(db)], accumulate)?;
    let dy = dy.into().matrix(o, false);
    // Whether the rows begin at whole vectors; their end is found by the kernel.
    let whole = vectors(dy.stride, &[dy.address, parts_of_db]);
    let columns = if whole.bits() != 0 { o.div_ceil(4) } else { o };
    gpu.launch(
        &named("column_sums", format),
        Grid {
            blocks: [columns.div_ceil(SUM_THREADS) as u32, parts(n) as u32, 1],
            threads: SUM_THREADS as u32,
            shared: 0,
        },
        &[
            Argument::Address(dy.address),
            Argument::U32(n as u32),
            Argument::U32(o as u32),
            Argument::U64(dy.stride as u64),
            Argument::Address(parts_of_db),
            whole,
        ],
    )
}

fn product(gpu: &dyn Gpu, product: &Product) -> Result<()> {
    let (m, n, k) = product.shape;
    if m == 0 || n == 0 || (k == 0 && product.accumulate) {
        Ok(())
    } else if k == 0 {
        // Elements between the rows, if any, are unused.
        let len = (m - 1) * product.c.stride + n;
        gpu.clear(product.c.address, len * product.c_format.bytes())
    } else {
        gpu.product(product)
    }
}
