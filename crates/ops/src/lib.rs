//! The fused kernels: each operation's forward beside its backward, on plain `f32` slices.
//!
//! Matrices are row-major. `T` is the number of tokens of a packed batch, `H` the hidden size, `A` the width of all
//! heads of a layer together, `F` the FFN's inner width. Sums run in an order that depends only on the shapes, so
//! results do not depend on the number of threads.

pub mod activation;
pub mod attention;
pub mod choice;
pub mod cuda;
pub mod dropout;
pub mod embedding;
pub mod error;
mod format;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod optimizer;
pub mod pending;
pub mod product;
pub mod rng;
pub mod select;
pub mod simd;
pub mod weight_mask;

pub use format::Format;
pub use weight_mask::WeightMask;

/// Rows that one parallel task handles in the element-wise kernels.
pub(crate) const ROWS_PER_TASK: usize = 16;

/// Parts into which rows are divided when columns are summed: fixed, so that the order of the sum is.
pub(crate) const SUM_PARTS: usize = 16;

/// Gives `buffer` at least `len` elements without clearing those it has, and returns exactly `len` of them.
pub fn fit(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// A pointer that the parallel tasks of one kernel share; every task touches elements of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: sending the pointer does not touch the memory. Each `unsafe` block that does argues that its task has those
// elements to itself, in a buffer that the kernel has borrowed exclusively.
unsafe impl Send for Shared {}
// SAFETY: as for `Send`; the pointer itself never changes.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}
