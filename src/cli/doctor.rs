//! `lottery doctor`: what this machine offers.

use crate::{error::Result, lottery::record::cpu_name, ops::simd};
use std::io::Write;

pub fn run() -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let text = format!(
        "lottery   {}\ndevice    cpu: {}\nkernels   {:?}\nthreads   {threads}\n",
        env!("CARGO_PKG_VERSION"),
        cpu_name(),
        simd::level()
    );
    // A reader that closed the pipe has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
