//! `lottery doctor`: what this machine offers.

use crate::{cores, error::Result, experiment::record::cpu_name, ops::simd};
use std::io::Write;

pub fn run() -> Result<()> {
    let text = format!(
        "lottery   {}\ndevice    cpu: {}\nkernels   {:?}\nthreads   {}\n{}",
        env!("CARGO_PKG_VERSION"),
        cpu_name(),
        simd::level(),
        threads(),
        cuda()
    );
    // A reader that has closed the pipe is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// The threads of a run that would start now.
fn threads() -> String {
    let (share, can_count) = cores::current_share();
    match can_count {
        Err(error) => format!("{} (other runs cannot be counted: {error})", share.threads),
        Ok(()) if share.others == 0 => share.threads.to_string(),
        Ok(()) => share.to_string(),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> String {
    "cuda      not in this build; cargo build --release --features cuda\n".into()
}

/// The devices, or why there is none, and the driver and cuBLAS that they need.
#[cfg(feature = "cuda")]
fn cuda() -> String {
    use crate::ops::cuda::driver;
    let mut text = format!("cuda      kernels compiled by CUDA {}\n", driver::COMPILER);
    match driver::devices() {
        Ok(devices) => {
            for (ordinal, device) in devices.iter().enumerate() {
                text += &format!("{:<10}{device}\n", format!("cuda:{ordinal}"));
            }
            if let Err(why) = driver::check_kernels() {
                text += &format!("driver    {why}\n");
            }
            let cublas = driver::cublas().unwrap_or_else(|why| why);
            text += &format!("cublas    {cublas}\n");
        }
        Err(why) => text += &format!("devices   {why}\n"),
    }
    text
}
