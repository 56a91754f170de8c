//! Devices to test on, and numbers to test with.

use std::{io::Write, rc::Rc};

use half::bf16;
use lottery::{
    error::Result,
    ops::cuda::{Buffer, Format, Gpu, download},
};

use crate::emulated::Emulated;

/// Runs the test on every device at hand, in both formats of activations.
pub fn on_devices(test: &str, run: impl FnMut(&Rc<dyn Gpu>, Format) -> Result<()>) {
    in_formats(&[Format::F32, Format::Bf16], test, run);
}

/// As [`on_devices`]; TensorFloat-32 matters to products alone.
pub fn in_formats(formats: &[Format], test: &str, mut run: impl FnMut(&Rc<dyn Gpu>, Format) -> Result<()>) {
    for gpu in devices(test) {
        for &format in formats {
            run(&gpu, format).unwrap_or_else(|e| panic!("{} {format:?}: {e}", gpu.description()));
        }
    }
}

pub fn devices(test: &str) -> Vec<Rc<dyn Gpu>> {
    let mut all: Vec<Rc<dyn Gpu>> = Vec::new();
    let mut take = |what: &str, gpu: std::result::Result<Rc<dyn Gpu>, String>| match gpu {
        Ok(gpu) => all.push(gpu),
        Err(why) => {
            std::io::stderr().write_all(format!("skipped: {test} {what}: {why}\n").as_bytes()).unwrap()
        }
    };
    // Where the tests are about a GPU (scripts/gpu-check.sh) there has to be one; where they are about the driver, the
    // emulation needs not run by itself too.
    #[cfg(feature = "cuda")]
    match std::env::var("LOTTERY_TEST_ON").as_deref() {
        Ok("device") => return vec![crate::driver::own_device()],
        Ok("driver") => {
            take("by the driver", crate::driver::driver());
            return all;
        }
        _ => {}
    }
    take("emulated", Emulated::new().map(|gpu| Rc::new(gpu) as Rc<dyn Gpu>));
    #[cfg(feature = "cuda")]
    take("by the driver", crate::driver::driver());
    all
}

/// Numbers in -1..1 that depend on the seed, such as the format can hold.
pub fn numbers(n: usize, seed: usize, format: Format) -> Vec<f32> {
    let all = (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0);
    all.map(|v| rounded(v, format)).collect()
}

pub fn rounded(v: f32, format: Format) -> f32 {
    match format {
        Format::F32 => v,
        Format::Tf32 => f32::from_bits(v.to_bits() & !0x1FFF),
        Format::Bf16 => bf16::from_f32(v).to_f32(),
    }
}

/// Values on the device in a buffer of exactly their size.
pub fn on_device(gpu: &Rc<dyn Gpu>, values: &[f32], format: Format) -> Result<Buffer> {
    let buffer = Buffer::new(gpu);
    match format {
        Format::F32 | Format::Tf32 => buffer.upload(values)?,
        Format::Bf16 => buffer.upload(&values.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>())?,
    };
    Ok(buffer)
}

/// Room for so many values, which are NaN on an emulated device.
pub fn empty(gpu: &Rc<dyn Gpu>, len: usize, format: Format) -> Result<Buffer> {
    let buffer = Buffer::new(gpu);
    buffer.activations(len, format)?;
    Ok(buffer)
}

pub fn values(gpu: &Rc<dyn Gpu>, buffer: &Buffer, len: usize, format: Format) -> Result<Vec<f32>> {
    match format {
        Format::F32 | Format::Tf32 => download(&**gpu, buffer.address(), len),
        Format::Bf16 => {
            Ok(download::<bf16>(&**gpu, buffer.address(), len)?.into_iter().map(bf16::to_f32).collect())
        }
    }
}

/// The difference, relative to the largest expected number, is at most 1e-4 in f32 and 2e-2 in bf16.
pub fn assert_close(found: &[f32], expected: &[f32], format: Format, what: &str) {
    let limit = match format {
        Format::F32 | Format::Tf32 => 1e-4,
        Format::Bf16 => 2e-2,
    };
    assert_within(found, expected, limit, what);
}

pub fn assert_within(found: &[f32], expected: &[f32], limit: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= limit * scale, "{what}: element {i} is {a}, not {b} (largest {scale})");
    }
}
