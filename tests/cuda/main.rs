//! The CUDA kernels against the CPU's: on an emulation of the device everywhere (`emulated.rs`), and on a device too
//! where the crate was built with the feature `cuda` and there is one.

mod activation;
mod adamw;
mod attention;
mod compiled;
mod convert;
mod dropout;
mod embedding;
mod emulated;
mod engine;
mod gates;
mod gelu;
mod layer_norm;
mod linear;
mod loss;
#[allow(dead_code)]
#[path = "../engine/support.rs"]
mod packed;
mod pipeline;
mod rows;
mod sanitizers;
mod sums;
mod support;
