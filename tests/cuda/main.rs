//! The CUDA kernels against the CPU's: on an emulation of the device everywhere (`emulated.rs`), and on a device too
//! where the crate was built with the feature `cuda` and there is one.

mod compiled;
mod dropout;
mod embedding;
mod emulated;
mod gelu;
mod layer_norm;
mod rows;
mod sanitizers;
mod sums;
mod support;
