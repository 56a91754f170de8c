//! The CUDA kernels against the CPU's: on an emulation of the device everywhere (`emulated.rs`), and on a device too
//! where the crate was built with the feature `cuda` and there is one.

mod attention;
mod compiled;
mod emulated;
mod gelu;
mod sanitizers;
mod support;
