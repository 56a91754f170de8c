//! The product after Goto and van de Geijn (2008): `b` is packed into panels of a micro-kernel's columns, `a` by blocks
//! of rows into strips of its rows, and the micro-kernel multiplies a strip by a panel.
//!
//! An element's sum runs over `k` in order, cut into chunks by `k` alone; which thread computes it, and with which
//! neighbours, changes no bit.

use super::{
    kernel::{Kernel, Lines, Tile},
    matrix::{Destination, Part, View, Write, add_row_sums},
};
use crate::{Shared, fit};
use rayon::prelude::*;
use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Longest chunk of the inner dimension, in packed elements: a panel of `b` (24 or 48 KiB) stays close to the
/// first-level cache.
const CHUNK: usize = 384;
/// Columns that are finished at a time: of a block's rows they are still in the second-level cache, and long enough
/// for the processor to fetch ahead.
const EPILOGUE_COLUMNS: usize = 128;
/// Most elements of `b` packed at a time (8 MiB), so that they stay in the last-level cache.
const PACKED: usize = 1 << 21;

// Buffers are taken out while they are used, and put back. So an epilogue that multiplies, or that enters rayon and
// there takes up another task of the same product, finds none and makes its own.
thread_local! {
    /// A thread's packed block of `a`.
    static STRIPS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// The packed `b` of a product that this thread computes alone.
    static SERIAL_PANELS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The packed `b` of the last product, of any thread. Of products that run at the same time, one reuses it.
static PANELS: Mutex<Vec<f32>> = Mutex::new(Vec::new());

fn kept_panels() -> MutexGuard<'static, Vec<f32>> {
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
    /// At least two tasks for each thread where the matrix has them, and as many for each, so that threads end together.
    fn new<K: Kernel>(m: usize, panels: usize, threads: usize) -> Self {
        let wanted = if threads == 1 { 1 } else { 2 * threads };
        let blocks = m.div_ceil(K::BLOCK).next_multiple_of(threads).max(wanted);
        let rows = m.div_ceil(blocks).next_multiple_of(K::ROWS);
        let row_tasks = m.div_ceil(rows);
        let columns = panels.div_ceil(panels.min(wanted.div_ceil(row_tasks)));
        Self { rows, panels: columns, row_tasks, column_tasks: panels.div_ceil(columns) }
    }
}

/// A stretch of the inner dimension whose operands are packed: `from` and `len` in steps, `at` where its packed
/// elements begin and `packed` how many they are, both for one line.
#[derive(Clone, Copy)]
struct Chunk {
    from: usize,
    len: usize,
    at: usize,
    packed: usize,
}

/// k cut into chunks of equal length as far as that goes.
fn chunks<K: Kernel>(k: usize) -> impl Iterator<Item = Chunk> + Clone {
    let packed = k.div_ceil(K::STEPS);
    let longest = packed.div_ceil(packed.div_ceil(CHUNK).max(1)).max(1);
    (0..packed).step_by(longest).map(move |at| {
        let from = at * K::STEPS;
        let len = (longest * K::STEPS).min(k - from);
        Chunk { from, len, at, packed: len.div_ceil(K::STEPS) }
    })
}

/// # Safety
/// The processor must have the kernel's instructions, and the matrices must lie inside their slices.
pub(super) unsafe fn matmul<K: Kernel>((m, n, k): (usize, usize, usize), a: View, b: View, c: Destination) {
    let panels = n.div_ceil(K::COLUMNS);
    let row = panels * K::COLUMNS;
    let all: Vec<Chunk> = chunks::<K>(k).collect();
    // Chunks of `b` packed at a time.
    let slab = (PACKED / (row * all[0].packed)).max(1);
    let cut = Cut::new::<K>(m, panels, rayon::current_num_threads());
    let mut packed = std::mem::take(&mut *kept_panels());
    for chunks in all.chunks(slab) {
        let first = chunks[0].at;
        let depth: usize = chunks.iter().map(|c| c.packed).sum();
        let place = Shared(fit(&mut packed, row * depth).as_mut_ptr());
        let panel_at = |c: &Chunk, j: usize| place.at((c.at - first) * row + j * c.packed * K::COLUMNS);
        (0..panels).into_par_iter().with_min_len(4).for_each(|j| {
            for chunk in chunks {
                // SAFETY: the buffer has `panels` panels for each chunk, and no other task has the j-th; `b` lies inside its
                // slice.
                unsafe { pack_panel::<K>(b, n, j, chunk, panel_at(chunk, j)) };
            }
        });
        (0..cut.row_tasks * cut.column_tasks).into_par_iter().for_each(|task| {
            let (i, j) = (task / cut.column_tasks * cut.rows, task % cut.column_tasks * cut.panels);
            let (rows, ends) = (cut.rows.min(m - i), panels.min(j + cut.panels));
            let mut strips = STRIPS.take();
            for chunk in chunks {
                let block = Block { chunk, rows: i..i + rows, panels: j..ends, n, last: k };
                // SAFETY: the caller grants `c`, of which each task has rows and columns of its own; the panels of this
                // chunk were packed above.
                unsafe { block.product::<K>(a, |j| panel_at(chunk, j), &mut strips, &c) };
            }
            STRIPS.set(strips);
        });
    }
    *kept_panels() = packed;
}

/// The same on the calling thread alone, for small matrices.
///
/// # Safety
/// As for [`matmul`].
pub(super) unsafe fn matmul_serial<K: Kernel>(
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: Destination,
) {
    let panels = n.div_ceil(K::COLUMNS);
    let (mut packed, mut strips) = (SERIAL_PANELS.take(), STRIPS.take());
    for chunk in chunks::<K>(k) {
        let panel = chunk.packed * K::COLUMNS;
        let place = fit(&mut packed, panels * panel).as_mut_ptr();
        for j in 0..panels {
            // SAFETY: the buffer has `panels` panels, the j-th at this offset; `b` lies inside its slice.
            unsafe { pack_panel::<K>(b, n, j, &chunk, place.add(j * panel)) };
        }
        for i in (0..m).step_by(K::BLOCK) {
            let rows = i..m.min(i + K::BLOCK);
            let block = Block { chunk: &chunk, rows, panels: 0..panels, n, last: k };
            // SAFETY: the caller grants `c`, and nothing else here uses it meanwhile; all panels are packed.
            unsafe { block.product::<K>(a, |j| place.wrapping_add(j * panel), &mut strips, &c) };
        }
    }
    SERIAL_PANELS.set(packed);
    STRIPS.set(strips);
}

/// Packs panel `j` of the `n` columns of `b`, over one chunk.
///
/// # Safety
/// As for [`Kernel::pack_columns`].
unsafe fn pack_panel<K: Kernel>(b: View, n: usize, j: usize, chunk: &Chunk, out: *mut f32) {
    let first = j * K::COLUMNS;
    let lines = Lines::of(b.t(), first, chunk.from, K::COLUMNS.min(n - first));
    // SAFETY: the caller promises room for the panel and the instructions; the lines are columns of `b`, over steps that it
    // has.
    unsafe { K::pack_columns(lines, chunk.len, out) };
}

/// Rows of `a` times panels of `b`, over one chunk.
struct Block<'a> {
    chunk: &'a Chunk,
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    /// Columns of the whole product.
    n: usize,
    /// The whole inner dimension.
    last: usize,
}

impl Block<'_> {
    /// # Safety
    /// As for [`matmul`]; `panel` gives the packed panels, and nothing else may access this block of `c`.
    unsafe fn product<K: Kernel>(
        &self,
        a: View,
        panel: impl Fn(usize) -> *mut f32,
        strips: &mut Vec<f32>,
        c: &Destination,
    ) {
        let Chunk { from, len, packed, .. } = *self.chunk;
        let rows = self.rows.len();
        if let Some(sums) = c.row_sums.filter(|_| self.panels.start == 0) {
            // SAFETY: there is a sum for each of the m rows, and of the tasks of these rows only the first in its row of
            // tasks gets here.
            let sums = unsafe { std::slice::from_raw_parts_mut(sums.at(self.rows.start), rows) };
            let skipped = self.rows.start * a.row_stride + from * a.column_stride;
            add_row_sums(View { data: &a.data[skipped..], ..a }, len, sums);
        }
        let strips = fit(strips, rows.next_multiple_of(K::ROWS) * packed).as_mut_ptr();
        for strip in (0..rows).step_by(K::ROWS) {
            let lines = Lines::of(a, self.rows.start + strip, from, K::ROWS.min(rows - strip));
            // SAFETY: the buffer has `packed` elements for each row; the lines are rows of `a`.
            unsafe { K::pack_rows(lines, len, strips.add(strip * packed)) };
        }
        let add = c.write == Write::Add || from > 0;
        let epilogue = c.epilogue.filter(|_| from + len == self.last);
        for j in self.panels.clone() {
            let (right, column) = (panel(j), j * K::COLUMNS);
            for strip in (0..rows).step_by(K::ROWS) {
                let tile = Tile {
                    at: c.at.at((self.rows.start + strip) * c.stride + column),
                    stride: c.stride,
                    rows: K::ROWS.min(rows - strip),
                    columns: K::COLUMNS.min(self.n - column),
                };
                // SAFETY: both packed operands have these steps; the tile is inside this block of `c`.
                unsafe { K::tile(packed, strips.add(strip * packed), right, tile, add) };
            }
            let group = EPILOGUE_COLUMNS / K::COLUMNS;
            let done = j + 1 - self.panels.start;
            if let Some(epilogue) =
                epilogue.filter(|_| done.is_multiple_of(group) || j + 1 == self.panels.end)
            {
                let column = (j - (done - 1) % group) * K::COLUMNS;
                let columns = column..self.n.min((j + 1) * K::COLUMNS);
                let at = c.at.at(self.rows.start * c.stride + column);
                // SAFETY: the caller grants this block of `c`; no other task touches it, and this one is done with these
                // columns.
                epilogue(unsafe { Part::new(at, c.stride, self.rows.clone(), columns) });
            }
        }
    }
}
