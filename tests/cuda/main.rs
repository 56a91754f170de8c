//! The CUDA kernels against the CPU's: on an emulation of the device everywhere (`emulated.rs`). With the feature
//! `cuda` also through the driver, to a device or, where there is none, to the emulation (`driver.rs`).

mod device;
#[cfg(feature = "cuda")]
mod driver;
mod emulated;
mod gelu;
mod support;
