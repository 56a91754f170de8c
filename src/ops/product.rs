//! Matrix products: our own kernels where the processor has AVX2 or AVX-512, the `gemm` crate elsewhere.
//!
//! All cut the inner dimension by shape alone, so a product has the same bits on any number of threads.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bf16;
#[cfg(target_arch = "x86_64")]
mod blocked;
#[cfg(target_arch = "x86_64")]
mod kernel;

use super::{
    Format, ROWS_PER_TASK, Shared,
    simd::{self, Bf16, Level},
};
use crate::dispatch;
#[cfg(target_arch = "x86_64")]
use kernel::Rounded;
use rayon::prelude::*;
use std::{marker::PhantomData, ops::Range};

/// A matrix in memory: element (i, j) lies at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    row_stride: usize,
    column_stride: usize,
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
    fn reach(&self, m: usize, n: usize) -> usize {
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
struct Destination<'a> {
    at: Shared,
    stride: usize,
    write: Write,
    epilogue: Option<&'a (dyn Fn(Part) + Sync)>,
    row_sums: Option<Shared>,
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
    unsafe fn new(at: *mut f32, stride: usize, rows: Range<usize>, columns: Range<usize>) -> Self {
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

/// The implementations of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
enum Kernels {
    /// The `gemm` crate.
    Library,
    Avx2,
    Avx2Rounded,
    Avx512,
    Avx512Rounded,
    Avx512Bf16,
}

impl Kernels {
    fn of(format: Format) -> Self {
        match (simd::level(), format) {
            (Level::Base, _) => Self::Library,
            (Level::Avx2, Format::F32 | Format::Tf32) => Self::Avx2,
            (Level::Avx2, Format::Bf16) => Self::Avx2Rounded,
            (Level::Avx512, Format::F32 | Format::Tf32) => Self::Avx512,
            (Level::Avx512, Format::Bf16) if simd::bf16() == Some(Bf16::Native) => Self::Avx512Bf16,
            (Level::Avx512, Format::Bf16) => Self::Avx512Rounded,
        }
    }
}

/// c (m × n, rows `stride` apart) ← a (m × k) · b (k × n) on all threads of the pool.
pub fn matmul<'a>(
    format: Format,
    shape: (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    stride: usize,
    options: impl Into<ProductOptions<'a>>,
) {
    let place = (c.as_mut_ptr(), c.len(), stride);
    // SAFETY: pointer and length are those of a slice that is borrowed exclusively until this returns, and `Kernels::of`
    // chooses only what the processor was found to have.
    unsafe { product(Kernels::of(format), shape, a, b, place, options.into(), true) }
}

/// c ← a · b on the calling thread alone, for small matrices.
///
/// # Safety
/// `c` must have `(m - 1) · stride + n` elements, the first `n` of each `stride` touched by nobody else.
pub unsafe fn matmul_serial(
    format: Format,
    shape: (usize, usize, usize),
    a: View,
    b: View,
    c: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller grants the elements of an m × n matrix at `c`, so the length need not be checked again;
    // `Kernels::of` chooses only what the processor was found to have.
    unsafe {
        product(Kernels::of(format), shape, a, b, (c, usize::MAX, stride), Write::Replace.into(), false)
    }
}

/// # Safety
/// `c` (pointer, length, stride) must have that many elements, or at least those of an m × n matrix, and nobody else may
/// touch these. The processor must have the kernels.
unsafe fn product(
    kernels: Kernels,
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    (c, len, stride): (*mut f32, usize, usize),
    options: ProductOptions,
    parallel: bool,
) {
    if m == 0 {
        return;
    }
    assert!(a.reach(m, k) <= a.data.len() && b.reach(k, n) <= b.data.len());
    assert!(n == 0 || n <= stride && (m - 1).saturating_mul(stride).saturating_add(n) <= len);
    assert!(options.row_sums.as_ref().is_none_or(|sums| sums.len() == m));
    let ProductOptions { write, epilogue, row_sums } = options;
    let own = kernels != Kernels::Library && n > 0 && k > 0;
    let row_sums = match row_sums {
        Some(sums) if own => Some(Shared(sums.as_mut_ptr())),
        Some(sums) => {
            add_row_sums(a, k, sums);
            None
        }
        None => None,
    };
    let c = Destination { at: Shared(c), stride, write, epilogue, row_sums };
    if n == 0 || k == 0 {
        // SAFETY: the caller grants all of `c`, which nothing else uses from here on.
        let mut all = unsafe { Part::new(c.at.0, stride, 0..m, 0..n) };
        if write == Write::Replace {
            all.rows().for_each(|(_, row)| row.fill(0.0));
        }
        if let Some(epilogue) = epilogue {
            epilogue(all);
        }
        return;
    }
    // SAFETY: the assertions above keep all of `a` and `b`, and of `c` where its length is known, inside their memory; the
    // caller grants `c` exclusively and the processor's support.
    unsafe {
        match kernels {
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => blocked::<avx2::Avx2>((m, n, k), a, b, c, parallel),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2Rounded => blocked::<Rounded<avx2::Avx2>>((m, n, k), a, b, c, parallel),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => blocked::<avx512::Avx512>((m, n, k), a, b, c, parallel),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512Rounded => blocked::<Rounded<avx512::Avx512>>((m, n, k), a, b, c, parallel),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512Bf16 => blocked::<avx512::Avx512Bf16>((m, n, k), a, b, c, parallel),
            _ => library((m, n, k), a, b, c, parallel),
        }
    }
}

dispatch! {
    /// sums[i] += Σ a[i][p] over the k columns, a run of them at a time: short sums round less.
    fn add_row_sums(a: View, k: usize, sums: &mut [f32]) {
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

/// # Safety
/// As for [`blocked::matmul`].
#[cfg(target_arch = "x86_64")]
unsafe fn blocked<K: kernel::Kernel>(
    shape: (usize, usize, usize),
    a: View,
    b: View,
    c: Destination,
    parallel: bool,
) {
    // SAFETY: the caller promises what either function needs.
    unsafe {
        if parallel {
            blocked::matmul::<K>(shape, a, b, c)
        } else {
            blocked::matmul_serial::<K>(shape, a, b, c)
        }
    }
}

/// The product of the `gemm` crate.
///
/// # Safety
/// The three matrices must lie inside their memory.
unsafe fn library((m, n, k): (usize, usize, usize), a: View, b: View, c: Destination, parallel: bool) {
    let threads = if parallel { rayon::current_num_threads() } else { 1 };
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    // SAFETY: the strides and sizes describe matrices that the caller promises to lie inside their memory, `c` exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.at.0,
            1,
            c.stride as isize,
            c.write == Write::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1f32,
            1f32,
            false,
            false,
            false,
            parallelism,
        );
    }
    if let Some(epilogue) = c.epilogue {
        (0..m.div_ceil(ROWS_PER_TASK)).into_par_iter().for_each(|task| {
            let row = task * ROWS_PER_TASK;
            let rows = row..m.min(row + ROWS_PER_TASK);
            // SAFETY: the caller grants all of `c`, and each task has rows of its own.
            epilogue(unsafe { Part::new(c.at.at(row * c.stride), c.stride, rows, 0..n) });
        });
    }
}

#[cfg(test)]
mod tests;
