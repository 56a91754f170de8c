//! Micro-kernels for AVX2 and FMA: 6 × 16 sums in twelve registers.

use super::{
    bf16::round_packed,
    kernel::{Kernel, Lines, Tile, pack_f32},
};
use std::arch::x86_64::*;

const MR: usize = 6;
const NR: usize = 16;

/// f32.
pub(super) struct Avx2;

impl Kernel for Avx2 {
    const ROWS: usize = MR;
    const COLUMNS: usize = NR;
    const BLOCK: usize = 24 * MR;
    const STEPS: usize = 1;

    unsafe fn pack_rows(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: passed on from the caller.
        unsafe { pack_f32::<MR>(lines, len, out) }
    }

    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: passed on from the caller.
        unsafe { pack_f32::<NR>(lines, len, out) }
    }

    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool) {
        // SAFETY: passed on from the caller.
        unsafe { tile_product(len, a, b, tile, add) }
    }
}

/// What bf16 operands give, on a processor that has no instruction for them: they are rounded when they are packed.
pub(super) struct Avx2Rounded;

impl Kernel for Avx2Rounded {
    const ROWS: usize = MR;
    const COLUMNS: usize = NR;
    const BLOCK: usize = Avx2::BLOCK;
    const STEPS: usize = 1;

    unsafe fn pack_rows(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: passed on from the caller.
        unsafe {
            pack_f32::<MR>(lines, len, out);
            round_lines(out, MR * len);
        }
    }

    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: passed on from the caller.
        unsafe {
            pack_f32::<NR>(lines, len, out);
            round_lines(out, NR * len);
        }
    }

    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool) {
        // SAFETY: passed on from the caller.
        unsafe { tile_product(len, a, b, tile, add) }
    }
}

/// # Safety
/// As for [`round_packed`]. AVX2 is required.
#[target_feature(enable = "avx2")]
unsafe fn round_lines(at: *mut f32, len: usize) {
    // SAFETY: passed on from the caller.
    unsafe { round_packed(at, len) }
}

/// # Safety
/// As for [`Kernel::tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_product(len: usize, mut a: *const f32, mut b: *const f32, tile: Tile, add: bool) {
    let mut sums = [[_mm256_setzero_ps(); 2]; MR];
    // SAFETY: the caller keeps the steps and the tile in bounds; rows beyond the tile's are neither read nor written.
    unsafe {
        for i in 0..tile.rows {
            _mm_prefetch::<_MM_HINT_T0>(tile.at.add(i * tile.stride).cast());
            _mm_prefetch::<_MM_HINT_T0>(tile.at.add(i * tile.stride + tile.columns - 1).cast());
        }
        for _ in 0..len / 4 {
            for p in 0..4 {
                step(a.add(p * MR), b.add(p * NR), &mut sums);
            }
            (a, b) = (a.add(4 * MR), b.add(4 * NR));
        }
        for p in 0..len % 4 {
            step(a.add(p * MR), b.add(p * NR), &mut sums);
        }
        if tile.rows == MR && tile.columns == NR {
            for (i, [left, right]) in sums.into_iter().enumerate() {
                let at = tile.at.add(i * tile.stride);
                let (mut left, mut right) = (left, right);
                if add {
                    left = _mm256_add_ps(_mm256_loadu_ps(at), left);
                    right = _mm256_add_ps(_mm256_loadu_ps(at.add(8)), right);
                }
                _mm256_storeu_ps(at, left);
                _mm256_storeu_ps(at.add(8), right);
            }
        } else {
            let mut row = [0f32; NR];
            for (i, [left, right]) in sums.into_iter().enumerate().take(tile.rows) {
                _mm256_storeu_ps(row.as_mut_ptr(), left);
                _mm256_storeu_ps(row.as_mut_ptr().add(8), right);
                for (j, value) in row.iter().enumerate().take(tile.columns) {
                    let at = tile.at.add(i * tile.stride + j);
                    *at = if add { *at + value } else { *value };
                }
            }
        }
    }
}

/// One step of the inner dimension.
///
/// # Safety
/// `a` must have MR elements and `b` NR. AVX2 and FMA are required.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn step(a: *const f32, b: *const f32, sums: &mut [[__m256; 2]; MR]) {
    // SAFETY: passed on from the caller.
    unsafe {
        let (left, right) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
        for (i, sum) in sums.iter_mut().enumerate() {
            let x = _mm256_broadcast_ss(&*a.add(i));
            sum[0] = _mm256_fmadd_ps(x, left, sum[0]);
            sum[1] = _mm256_fmadd_ps(x, right, sum[1]);
        }
    }
}
