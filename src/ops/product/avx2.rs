//! The product on AVX2 and FMA, after Goto and van de Geijn (2008): `b` is packed into panels of [`NR`] columns, `a` by
//! blocks of rows into strips of [`MR`], and a micro-kernel keeps MR × NR sums in twelve registers.
//!
//! An element's sum runs over `k` in order, cut into chunks by `k` alone; which thread computes it, and with which
//! neighbours, changes no bit.

use super::{View, Write};
use crate::ops::{Shared, fit};
use rayon::prelude::*;
use std::{
    arch::x86_64::*,
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Rows of the micro-kernel.
const MR: usize = 6;
/// Columns of the micro-kernel: two registers.
const NR: usize = 16;
/// Longest chunk of the inner dimension: a panel of `b` (24 KiB) stays in the first-level cache.
const CHUNK: usize = 384;
/// Most rows in a task's block of `a`: with [`CHUNK`] 216 KiB, in the second-level cache.
const BLOCK: usize = 24 * MR;
/// Most elements of `b` packed at a time (8 MiB), so that they stay in the last-level cache.
const PACKED: usize = 1 << 21;

thread_local! {
    /// A thread's packed block of `a`.
    static STRIPS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The packed `b` of the last product, which any thread may have called. Of products at the same time one uses it.
static PANELS: Mutex<Vec<f32>> = Mutex::new(Vec::new());

fn panels_kept() -> MutexGuard<'static, Vec<f32>> {
    PANELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a product is cut into tasks.
struct Cut {
    /// Rows of a task.
    rows: usize,
    /// Column panels of a task.
    panels: usize,
    row_tasks: usize,
    column_tasks: usize,
}

impl Cut {
    /// At least two tasks for each thread where the matrix has them, so that threads end together.
    fn new(m: usize, panels: usize, threads: usize) -> Self {
        let wanted = if threads == 1 { 1 } else { 2 * threads };
        let rows = m.div_ceil(wanted).min(BLOCK).next_multiple_of(MR);
        let row_tasks = m.div_ceil(rows);
        let columns = panels.div_ceil(panels.min(wanted.div_ceil(row_tasks)));
        Self { rows, panels: columns, row_tasks, column_tasks: panels.div_ceil(columns) }
    }
}

/// # Safety
/// The processor must have AVX2 and FMA, and the three matrices must lie inside their slices.
pub(super) unsafe fn matmul(
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    stride: usize,
    write: Write,
) {
    if k == 0 {
        if write == Write::Replace {
            c.chunks_mut(stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    let panels = n.div_ceil(NR);
    let chunk = k.div_ceil(k.div_ceil(CHUNK));
    // Elements of one packed row of `b`, and rows of `b` packed at a time.
    let row = panels * NR;
    let slab = (PACKED / (row * chunk)).max(1) * chunk;
    let cut = Cut::new(m, panels, rayon::current_num_threads());
    let mut packed = std::mem::take(&mut *panels_kept());
    let to = Shared(c.as_mut_ptr());
    for first in (0..k).step_by(slab) {
        let depth = slab.min(k - first);
        let chunks: Vec<(usize, usize)> =
            (0..depth).step_by(chunk).map(|at| (at, chunk.min(depth - at))).collect();
        let place = Shared(fit(&mut packed, row * depth).as_mut_ptr());
        (0..panels).into_par_iter().with_min_len(4).for_each(|j| {
            for &(at, len) in &chunks {
                let source = Lines { view: b.t(), line: j * NR, step: first + at };
                // SAFETY: panel j of a chunk is its own `len · NR` elements; the lines are columns of `b`.
                unsafe { pack::<NR>(source, NR.min(n - j * NR), len, place.at(at * row + j * len * NR)) };
            }
        });
        (0..cut.row_tasks * cut.column_tasks).into_par_iter().for_each(|task| {
            let (i, j) = (task / cut.column_tasks * cut.rows, task % cut.column_tasks * cut.panels);
            let (rows, ends) = (cut.rows.min(m - i), panels.min(j + cut.panels));
            STRIPS.with_borrow_mut(|strips| {
                for &(at, len) in &chunks {
                    let strips = fit(strips, rows.next_multiple_of(MR) * len).as_mut_ptr();
                    for strip in (0..rows).step_by(MR) {
                        let source = Lines { view: a, line: i + strip, step: first + at };
                        // SAFETY: the buffer has `len` elements for each row; the lines are rows of `a`.
                        unsafe {
                            pack::<MR>(source, MR.min(rows - strip), len, strips.wrapping_add(strip * len))
                        };
                    }
                    let add = write == Write::Add || first + at > 0;
                    for panel in j..ends {
                        let right = place.at(at * row + panel * len * NR);
                        let columns = NR.min(n - panel * NR);
                        for strip in (0..rows).step_by(MR) {
                            let left = strips.wrapping_add(strip * len);
                            let tile = Tile {
                                at: to.at((i + strip) * stride + panel * NR),
                                stride,
                                rows: MR.min(rows - strip),
                                columns,
                            };
                            // SAFETY: both packed operands have `len` steps; tiles of tasks are disjoint parts of `c`.
                            unsafe { tile_product(len, left, right, tile, add) };
                        }
                    }
                }
            });
        });
    }
    *panels_kept() = packed;
}

/// Lines of a matrix (its rows) from `line` on, read from column `step` on.
#[derive(Clone, Copy)]
struct Lines<'a> {
    view: View<'a>,
    line: usize,
    step: usize,
}

/// Writes `len` steps of `lines` ≤ `W` lines to `out`, step by step, missing lines as zeros.
///
/// # Safety
/// The lines must have the steps, and `out` must have room for `W · len` elements. AVX is required.
#[target_feature(enable = "avx")]
unsafe fn pack<const W: usize>(source: Lines, lines: usize, len: usize, out: *mut f32) {
    let (line, step) = (source.view.row_stride, source.view.column_stride);
    // SAFETY: the caller keeps every element below inside the matrix and inside `out`.
    unsafe {
        let from = source.view.data.as_ptr().add(source.line * line + source.step * step);
        let mut p = 0;
        if lines == W && line == 1 {
            while p < len {
                std::ptr::copy_nonoverlapping(from.add(p * step), out.add(p * W), W);
                p += 1;
            }
        } else if lines == W && step == 1 {
            while p + 4 <= len {
                transpose_four_steps::<W>(from.add(p), line, out.add(p * W));
                p += 4;
            }
        }
        while p < len {
            for l in 0..W {
                *out.add(p * W + l) = if l < lines { *from.add(l * line + p * step) } else { 0.0 };
            }
            p += 1;
        }
    }
}

/// Four steps of `W` (even) lines that are `line` apart, as four groups of `W`.
///
/// # Safety
/// As for [`pack`].
#[inline]
#[target_feature(enable = "avx")]
unsafe fn transpose_four_steps<const W: usize>(from: *const f32, line: usize, out: *mut f32) {
    // SAFETY: passed on from the caller.
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

/// A place of at most MR × NR elements in the destination.
struct Tile {
    at: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
}

/// The tile of `a` (steps of MR) times `b` (steps of NR), written or added.
///
/// # Safety
/// `a` and `b` must have `len` steps, and the tile must be inside a matrix that nobody else writes. AVX2 and FMA are
/// required.
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
