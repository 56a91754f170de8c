//! Micro-kernels for AVX2 and FMA: 6 × 16 sums in twelve registers.

use super::kernel::{Kernel, Lines, Tile, pack_f32, tile};
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
        // SAFETY: the caller promises the same.
        unsafe { pack_f32::<MR>(lines, len, out) }
    }

    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises the same.
        unsafe { pack_f32::<NR>(lines, len, out) }
    }

    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool) {
        // SAFETY: the caller promises the same.
        unsafe { tile_product(len, a, b, tile, add) }
    }
}

tile!(tile_product, "avx2,fma", _mm256_setzero_ps, step, write);

/// # Safety
/// The tile must lie in memory that nothing else accesses. AVX2 is required.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn write(sums: [[__m256; 2]; MR], tile: Tile, add: bool) {
    // SAFETY: rows and columns beyond the tile's are neither read nor written.
    unsafe {
        if tile.rows == MR && tile.columns == NR {
            for (i, [mut left, mut right]) in sums.into_iter().enumerate() {
                let at = tile.at.add(i * tile.stride);
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
    // SAFETY: the caller promises the same.
    unsafe {
        let (left, right) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
        for (i, sum) in sums.iter_mut().enumerate() {
            let x = _mm256_broadcast_ss(&*a.add(i));
            sum[0] = _mm256_fmadd_ps(x, left, sum[0]);
            sum[1] = _mm256_fmadd_ps(x, right, sum[1]);
        }
    }
}
