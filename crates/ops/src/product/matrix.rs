//! The operands and the destination of a product.

use crate::{Shared, dispatch};
use std::{marker::PhantomData, ops::Range};

/// A matrix in memory: element (i, j) lies at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix whose rows are `stride` elements apart.
    pub fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row_stride: stride, column_stride: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// The number of elements from the first to the last of an m × n matrix.
    pub(super) fn reach(&self, m: usize, n: usize) -> usize {
        if m == 0 || n == 0 {
            return 0;
        }
        // Saturating: a stride beyond all memory must not come round to a small number.
        let down = (m - 1).saturating_mul(self.row_stride);
        down.saturating_add((n - 1).saturating_mul(self.column_stride)).saturating_add(1)
    }
}

/// Whether a product replaces what the destination holds or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Replace,
    Add,
}

/// What a product does besides multiplying.
pub struct ProductOptions<'a> {
    pub write: Write,
    /// Called for each part of `c` as soon as it is complete, by the thread that computed it. It may itself multiply and
    /// use rayon: the product holds no lock and no borrow while it is called.
    pub epilogue: Option<&'a (dyn Fn(Part) + Sync)>,
    /// (m): the sum of each row of `a` is added to it.
    pub row_sums: Option<&'a mut [f32]>,
}

impl From<Write> for ProductOptions<'_> {
    fn from(write: Write) -> Self {
        Self { write, epilogue: None, row_sums: None }
    }
}

/// Where a product goes in memory.
pub(super) struct Destination<'a> {
    pub at: Shared,
    pub stride: usize,
    pub write: Write,
    pub epilogue: Option<&'a (dyn Fn(Part) + Sync)>,
    pub row_sums: Option<Shared>,
}

/// A part of a product that is complete and still in a cache: `rows` × `columns` elements of the destination, borrowed
/// exclusively for the time of the callback.
pub struct Part<'a> {
    at: *mut f32,
    stride: usize,
    rows: usize,
    destination: PhantomData<&'a mut [f32]>,
    /// Its first row and column in the product, and its width.
    pub row: usize,
    pub column: usize,
    pub columns: usize,
}

impl Part<'_> {
    /// # Safety
    /// The rows must lie inside memory that is exclusively borrowed for the lifetime, and must not overlap.
    pub(super) unsafe fn new(at: *mut f32, stride: usize, rows: Range<usize>, columns: Range<usize>) -> Self {
        let (row, column) = (rows.start, columns.start);
        let (rows, columns) = (rows.len(), columns.len());
        Self { at, stride, rows, destination: PhantomData, row, column, columns }
    }

    /// Each row's number in the product, with the columns that belong to this part.
    pub fn rows(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        (0..self.rows).map(|r| {
            // SAFETY: `new` was promised memory that is borrowed exclusively for the part's lifetime and rows that do not
            // overlap; `self` is borrowed as long as the slices are, so no row is handed out twice at a time.
            let row = unsafe { std::slice::from_raw_parts_mut(self.at.add(r * self.stride), self.columns) };
            (self.row + r, row)
        })
    }
}

dispatch! {
    /// sums[i] += Σ a[i][p] over the k columns, a run of them at a time: short sums round less.
    pub(super) fn add_row_sums(a: View, k: usize, sums: &mut [f32]) {
        const RUN: usize = 64;
        for (i, sums) in sums.chunks_mut(RUN).enumerate() {
            for first in (0..k).step_by(RUN) {
                let mut run = [0f32; RUN];
                for p in first..k.min(first + RUN) {
                    let from = &a.data[i * RUN * a.row_stride + p * a.column_stride..];
                    if a.row_stride == 1 && sums.len() == RUN {
                        for (s, v) in run.iter_mut().zip(&from[..RUN]) { *s += v; }
                    } else {
                        for (s, v) in run[..sums.len()].iter_mut().zip(from.iter().step_by(a.row_stride)) { *s += v; }
                    }
                }
                for (s, v) in sums.iter_mut().zip(run) { *s += v; }
            }
        }
    }
}
