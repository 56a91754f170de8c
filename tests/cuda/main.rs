//! The CUDA kernels against the CPU's: on an emulation of the device everywhere (`emulated.rs`). With the feature
//! `cuda` also through the driver, to a device or, where there is none, to the emulation (`driver.rs`).
//!
//! The emulation switches stacks and finds the places of races as Linux has it.
#![cfg(target_os = "linux")]

mod activation;
mod ahead;
mod altered;
mod attention;
mod buffer;
mod compiled;
mod convert;
mod counting;
mod device;
#[cfg(feature = "cuda")]
mod driver;
mod dropout;
mod embedding;
mod emulated;
mod engine;
mod failing;
mod gates;
mod gradient;
mod held;
mod layer_norm;
mod linear;
mod loss;
#[cfg(feature = "cuda")]
mod machines;
#[path = "../engine/masked.rs"]
mod masked;
mod optimizer;
#[allow(dead_code)]
#[path = "../engine/support.rs"]
mod packed;
mod pipeline;
mod pooler;
mod rows;
mod sanitizers;
mod several;
mod sums;
mod support;
