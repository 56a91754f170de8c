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
mod matrix;

use super::{
    Format, ROWS_PER_TASK, Shared,
    simd::{self, Bf16, Level},
};
#[cfg(target_arch = "x86_64")]
use bf16::Rounded;
use matrix::{Destination, add_row_sums};
use rayon::prelude::*;

pub use matrix::{Part, ProductOptions, View, Write};

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
/// `c` must have `(m - 1) · stride + n` elements, and nothing else may access the first `n` of each `stride`.
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
/// `c` (pointer, length, stride) must have that many elements, or at least those of an m × n matrix, and nothing else may
/// access these. The processor must have the kernels.
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
