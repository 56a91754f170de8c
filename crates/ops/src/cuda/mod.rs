//! The fused kernels on a CUDA device: each operation's launches in a `.rs`, its kernels in the `.cu` beside it.
//!
//! The host's part is compiled always and knows the device by [`Gpu`] alone, so that the tests run all of it, kernels
//! included, on an emulation. With the feature `cuda`, `driver` is the device itself. Shapes are named as in
//! [`crate`]; an address is that of the first element in device memory. Sums run in an order that depends on the
//! shapes alone.

pub mod activation;
pub mod attention;
pub mod bias;
mod chunks;
pub mod convert;
#[cfg(feature = "cuda")]
pub mod driver;
pub mod dropout;
pub mod embedding;
pub mod gates;
pub mod gpu;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod optimizer;
pub mod pooler;
pub mod rows;
pub mod sums;

pub use super::Format;
pub use gpu::{Argument, Buffer, Gpu, Grid, Matrix, Product, download, fetch};

/// Threads of a block of the element-wise kernels.
const THREADS: usize = 256;
