//! What the blocked product asks of a processor, and what its micro-kernels share.

use super::matrix::View;
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// A micro-kernel: it keeps ROWS × COLUMNS sums in registers while it runs over packed operands.
///
/// A packed element is four bytes: an f32, or two steps of the inner dimension in bf16. Operands are packed step by
/// step, `ROWS` elements of `a` and `COLUMNS` of `b`, missing lines and steps as zeros.
pub(super) trait Kernel {
    const ROWS: usize;
    const COLUMNS: usize;
    /// Most rows in a task's block of `a`, a multiple of ROWS: packed, it stays in the second-level cache.
    const BLOCK: usize;
    /// Steps of the inner dimension in a packed element.
    const STEPS: usize;

    /// Writes `len` steps of at most ROWS lines to `out`.
    ///
    /// # Safety
    /// The lines must have the steps, `out` must have room for ROWS · ⌈len / STEPS⌉ elements, and the processor must
    /// have the kernel's instructions.
    unsafe fn pack_rows(lines: Lines, len: usize, out: *mut f32);

    /// The same with COLUMNS lines.
    ///
    /// # Safety
    /// As for [`Self::pack_rows`], with COLUMNS for ROWS.
    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32);

    /// The product of `len` packed steps, written to the tile or added to it.
    ///
    /// # Safety
    /// `a` and `b` must have `len` packed steps, the tile must lie in memory that nothing else accesses, and the processor
    /// must have the kernel's instructions.
    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool);
}

/// Lines of a matrix, rows of `a` or columns of `b`, from an inner step on.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub from: *const f32,
    /// From a line to the next.
    pub line: usize,
    /// From a step to the next.
    pub step: usize,
    /// How many lines there are.
    pub count: usize,
}

impl Lines {
    /// `count` rows of `view`, from row `line` and column `step` on; the transpose's rows are the columns.
    pub fn of(view: View, line: usize, step: usize, count: usize) -> Self {
        Self {
            from: view.data.as_ptr().wrapping_add(line * view.row_stride + step * view.column_stride),
            line: view.row_stride,
            step: view.column_stride,
            count,
        }
    }
}

/// A place of at most ROWS × COLUMNS elements in the destination.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub at: *mut f32,
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Tile {
    /// Asks the memory for the elements before they are needed.
    #[inline(always)]
    pub fn prefetch(&self) {
        for i in 0..self.rows {
            let row = self.at.wrapping_add(i * self.stride);
            for at in [row, row.wrapping_add(self.columns - 1)] {
                // SAFETY: a prefetch reads nothing and cannot fail.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
            }
        }
    }
}

/// Defines a kernel's loop over packed steps, four at a time, around its `$step` and its `$write`, both of which may
/// use the instructions `$features`; the sums begin as `$zero`. `MR` and `NR` are the kernel's.
macro_rules! tile {
    ($name:ident, $features:literal, $zero:ident, $step:ident, $write:ident) => {
        /// # Safety
        /// As for [`Kernel::tile`].
        #[target_feature(enable = $features)]
        unsafe fn $name(len: usize, mut a: *const f32, mut b: *const f32, tile: Tile, add: bool) {
            let mut sums = [[$zero(); 2]; MR];
            tile.prefetch();
            // SAFETY: the caller keeps the steps and the tile in bounds.
            unsafe {
                for _ in 0..len / 4 {
                    for p in 0..4 {
                        $step(a.add(p * MR), b.add(p * NR), &mut sums);
                    }
                    (a, b) = (a.add(4 * MR), b.add(4 * NR));
                }
                for p in 0..len % 4 {
                    $step(a.add(p * MR), b.add(p * NR), &mut sums);
                }
                $write(sums, tile, add);
            }
        }
    };
}
pub(super) use tile;

/// Packs `W` lines of f32.
///
/// # Safety
/// As for [`Kernel::pack_rows`] with `W` lines. AVX is required.
#[inline]
#[target_feature(enable = "avx")]
pub(super) unsafe fn pack_f32<const W: usize>(lines: Lines, len: usize, out: *mut f32) {
    let Lines { from, line, step, count } = lines;
    // SAFETY: the caller keeps every element below inside the matrix and inside `out`.
    unsafe {
        let mut p = 0;
        if count == W && line == 1 {
            while p < len {
                std::ptr::copy_nonoverlapping(from.add(p * step), out.add(p * W), W);
                p += 1;
            }
        } else if count == W && step == 1 {
            while p + 4 <= len {
                transpose_four_steps::<W>(from.add(p), line, out.add(p * W));
                p += 4;
            }
        }
        while p < len {
            for l in 0..W {
                *out.add(p * W + l) = if l < count { *from.add(l * line + p * step) } else { 0.0 };
            }
            p += 1;
        }
    }
}

/// Four elements of each of `W` (even) lines that are `line` apart, as four groups of `W`.
///
/// # Safety
/// The lines must have four elements, and `out` room for 4 · W. AVX is required.
#[inline]
#[target_feature(enable = "avx")]
pub(super) unsafe fn transpose_four_steps<const W: usize>(from: *const f32, line: usize, out: *mut f32) {
    use std::arch::x86_64::*;
    // SAFETY: the caller promises the same.
    unsafe {
        for l in (0..W / 4 * 4).step_by(4) {
            let r = std::array::from_fn::<_, 4, _>(|i| _mm_loadu_ps(from.add((l + i) * line)));
            let (a, b) = (_mm_unpacklo_ps(r[0], r[1]), _mm_unpackhi_ps(r[0], r[1]));
            let (c, d) = (_mm_unpacklo_ps(r[2], r[3]), _mm_unpackhi_ps(r[2], r[3]));
            let steps = [_mm_movelh_ps(a, c), _mm_movehl_ps(c, a), _mm_movelh_ps(b, d), _mm_movehl_ps(d, b)];
            for (p, values) in steps.into_iter().enumerate() {
                _mm_storeu_ps(out.add(p * W + l), values);
            }
        }
        for l in (W / 4 * 4..W).step_by(2) {
            let r = std::array::from_fn::<_, 2, _>(|i| _mm_loadu_ps(from.add((l + i) * line)));
            for (half, p) in [(_mm_unpacklo_ps(r[0], r[1]), 0), (_mm_unpackhi_ps(r[0], r[1]), 2)] {
                _mm_storel_pd(out.add(p * W + l).cast(), _mm_castps_pd(half));
                _mm_storeh_pd(out.add((p + 1) * W + l).cast(), _mm_castps_pd(half));
            }
        }
    }
}
