//! Run-time choice of the instruction set, and the vectorisable primitives that the kernels share.
//!
//! A kernel is written once as plain loops; [`dispatch!`](crate::dispatch) compiles it for AVX-512, AVX2 and the
//! build's base target, and picks when called. Every fused multiply-add is written as `mul_add`, so the element-wise
//! results are the same bits on every path.

use crate::error::{Error, Result};
use std::{env, sync::LazyLock};

/// Limits the instruction set of the kernels: `avx512`, `avx2` or `base`. A suffix `+bf16` allows bf16 products even
/// where no instruction computes them. The `gemm` crate, which computes the products of `base`, chooses its
/// instructions itself.
const LIMIT: &str = "LOTTERY_KERNELS";
const BF16: &str = "+bf16";

/// Instruction sets with a compiled copy of every kernel, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Avx512,
    Avx2,
    Base,
}

static LEVEL: LazyLock<Level> =
    LazyLock::new(|| limit().ok().flatten().map_or_else(detect, |limit| limit.level.max(detect())));

/// The limit set by the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    level: Level,
    bf16: bool,
}

/// The limit set by the environment.
///
/// # Errors
/// Usage: the value is not a level.
pub fn limit() -> Result<Option<Limit>> {
    let Some(value) = env::var_os(LIMIT) else { return Ok(None) };
    let (name, bf16) = match value.to_str() {
        Some(text) => text.strip_suffix(BF16).map_or((text, false), |name| (name, true)),
        None => ("", false),
    };
    let level = match name {
        "avx512" => Level::Avx512,
        "avx2" => Level::Avx2,
        "base" => Level::Base,
        _ => {
            let why = format!("{LIMIT} is {value:?}. Set it to avx512, avx2 or base, or unset it.");
            return Err(Error::usage(why));
        }
    };
    Ok(Some(Limit { level, bf16 }))
}

/// How products of bf16 operands are computed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16 {
    /// By AVX512_BF16's instruction, at about twice the rate of f32.
    Native,
    /// In f32, from operands that were rounded to bf16: slower than f32, to study what the format does to a result.
    Rounded,
}

static BF16_BY: LazyLock<Option<Bf16>> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Avx512 && is_x86_feature_detected!("avx512bf16") {
        return Some(Bf16::Native);
    }
    let requested = limit().ok().flatten().is_some_and(|limit| limit.bf16);
    (requested && level() != Level::Base).then_some(Bf16::Rounded)
});

/// How bf16 products are computed; `None` if the machine does not support them and the environment does not ask for
/// them.
pub fn bf16() -> Option<Bf16> {
    *BF16_BY
}

fn detect() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        let v4 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if v4 && is_x86_feature_detected!("fma") {
            return Level::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Level::Avx2;
        }
    }
    Level::Base
}

/// The best level that this machine supports and the environment allows.
pub fn level() -> Level {
    *LEVEL
}

/// Defines a function whose body is compiled once for each [`Level`] and chosen at run time.
#[macro_export]
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::simd::level() {
                    // SAFETY: `level` returns this only where the processor reported every feature of the function.
                    $crate::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as for AVX-512.
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::simd::Level::Base => {}
                }
            }
            body($($arg),*)
        }
    };
}

/// eˣ to about 1 unit in the last place; the argument is clamped to [-87, 88], where f32 neither under- nor overflows.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5 · 2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first exact when multiplied by a small integer.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // `max` and `min` would turn NaN into a number; comparing keeps it.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let whole = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = whole.mul_add(-LN2_LOW, whole.mul_add(-LN2_HIGH, x));
    // Taylor's series to the seventh term on |r| ≤ ln 2 / 2: remainder below 6e-9 relative.
    let p = r.mul_add(1.0 / 5040.0, 1.0 / 720.0);
    let p = p.mul_add(r, 1.0 / 120.0);
    let p = p.mul_add(r, 1.0 / 24.0);
    let p = p.mul_add(r, 1.0 / 6.0);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0);
    let p = p.mul_add(r, 1.0);
    // `as` saturates and maps NaN to 0, so a NaN argument stays NaN through `p`.
    p * f32::from_bits((((whole as i32) + 127) as u32) << 23)
}

/// Lanes of the running sums: their order is fixed, whatever the vector width.
pub const LANES: usize = 32;

/// Folds the lanes pairwise.
#[inline(always)]
pub fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ xᵢ
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let blocks = x.chunks_exact(LANES);
    let tail = blocks.remainder();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] += block[i];
        }
    }
    for (lane, v) in lanes.iter_mut().zip(tail) {
        *lane += v;
    }
    fold(lanes)
}

/// Σ xᵢ yᵢ
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let (xt, yt) = (xs.remainder(), ys.remainder());
    for (a, b) in xs.zip(ys) {
        for i in 0..LANES {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(xt).zip(yt) {
        *lane = a.mul_add(*b, *lane);
    }
    fold(lanes)
}

/// max xᵢ; NaN elements are passed over.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = x.chunks_exact(LANES);
    let tail = blocks.remainder();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = if block[i] > lanes[i] { block[i] } else { lanes[i] };
        }
    }
    for (lane, v) in lanes.iter_mut().zip(tail) {
        *lane = if *v > *lane { *v } else { *lane };
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

dispatch! {
    /// ⟨x, y⟩ of two equally long slices.
    pub fn inner_product(x: &[f32], y: &[f32]) -> f32 { dot(x, y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 1.8e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn sums_over_every_length_agree_with_f64() {
        for n in 0..200 {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
            let exact: f64 = x.iter().map(|&v| f64::from(v)).sum();
            let squares: f64 = x.iter().map(|&v| f64::from(v).powi(2)).sum();
            assert!((f64::from(sum(&x)) - exact).abs() < 1e-3);
            assert!((f64::from(inner_product(&x, &x)) - squares).abs() < 1e-5 * squares.max(1.0));
            let expected = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&x), expected);
        }
    }
}
