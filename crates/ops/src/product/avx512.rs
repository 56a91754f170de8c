//! Micro-kernels for AVX-512: 12 × 32 sums in 24 registers, in f32 or from pairs of bf16 (AVX512_BF16).

use super::{
    bf16::pack_pairs,
    kernel::{Kernel, Lines, Tile, pack_f32, tile},
};
use std::arch::x86_64::*;

const MR: usize = 12;
const NR: usize = 32;

/// f32.
pub(super) struct Avx512;

impl Kernel for Avx512 {
    const ROWS: usize = MR;
    const COLUMNS: usize = NR;
    const BLOCK: usize = 16 * MR;
    const STEPS: usize = 1;

    unsafe fn pack_rows(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises the same.
        unsafe { pack_f32::<MR>(lines, len, out) }
    }

    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises the same.
        unsafe { pack_f32::<NR>(lines, len, out) }
    }

    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool) {
        // SAFETY: the caller promises the same.
        unsafe { tile_f32(len, a, b, tile, add) }
    }
}

/// bf16 operands, f32 sums.
pub(super) struct Avx512Bf16;

impl Kernel for Avx512Bf16 {
    const ROWS: usize = MR;
    const COLUMNS: usize = NR;
    const BLOCK: usize = 32 * MR;
    const STEPS: usize = 2;

    unsafe fn pack_rows(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises the same.
        unsafe { pack_bf16::<MR>(lines, len, out) }
    }

    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises the same.
        unsafe { pack_bf16::<NR>(lines, len, out) }
    }

    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool) {
        // SAFETY: the caller promises the same.
        unsafe { tile_bf16(len, a, b, tile, add) }
    }
}

/// # Safety
/// As for [`pack_pairs`]. AVX-512 is required.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn pack_bf16<const W: usize>(lines: Lines, len: usize, out: *mut f32) {
    // SAFETY: the caller promises the same.
    unsafe { pack_pairs::<W>(lines, len, out) }
}

/// Defines one packed step of the inner dimension, by its multiply-add of an element of `a` with a register of `b`.
macro_rules! step {
    ($name:ident, $features:literal, |$x:ident, $y:ident, $sum:ident| $multiply_add:expr) => {
        /// # Safety
        /// `a` must have MR elements and `b` NR.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn $name(a: *const f32, b: *const f32, sums: &mut [[__m512; 2]; MR]) {
            // SAFETY: the caller promises the same.
            unsafe {
                let b = [_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16))];
                for (i, sums) in sums.iter_mut().enumerate() {
                    let $x = _mm512_set1_ps(*a.add(i));
                    for (sum, $y) in sums.iter_mut().zip(b) {
                        let $sum = *sum;
                        *sum = $multiply_add;
                    }
                }
            }
        }
    };
}

step!(step_f32, "avx512f", |x, y, sum| _mm512_fmadd_ps(x, y, sum));
step!(step_bf16, "avx512f,avx512bf16", |x, y, sum| {
    // SAFETY: both types are 512 bits, and every bit pattern is a value of either.
    _mm512_dpbf16_ps(
        sum,
        std::mem::transmute::<__m512, __m512bh>(x),
        std::mem::transmute::<__m512, __m512bh>(y),
    )
});
tile!(tile_f32, "avx512f", _mm512_setzero_ps, step_f32, write);
tile!(tile_bf16, "avx512f,avx512bf16", _mm512_setzero_ps, step_bf16, write);

/// # Safety
/// The tile must lie in memory that nothing else accesses.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn write(sums: [[__m512; 2]; MR], tile: Tile, add: bool) {
    let columns = u32::MAX >> (NR - tile.columns);
    let masks = [columns as u16, (columns >> 16) as u16];
    // SAFETY: the masks keep columns, `take` keeps rows inside the tile.
    unsafe {
        for (i, sums) in sums.into_iter().enumerate().take(tile.rows) {
            for (j, (mut sum, mask)) in sums.into_iter().zip(masks).enumerate() {
                let at = tile.at.wrapping_add(i * tile.stride + j * 16);
                if add {
                    sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, at), sum);
                }
                _mm512_mask_storeu_ps(at, mask, sum);
            }
        }
    }
}
