//! Matrix products: our own kernel where the processor has AVX2 and FMA, the `gemm` crate on AVX-512 and elsewhere.
//!
//! Both cut the inner dimension by shape alone, so a product has the same bits on any number of threads.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::simd::{self, Level};

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

/// c (m × n, rows `stride` apart) ← a (m × k) · b (k × n) on all threads of the pool.
pub fn matmul(
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    stride: usize,
    write: Write,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.reach(m, k) <= a.data.len() && b.reach(k, n) <= b.data.len());
    assert!(n <= stride && (m - 1).saturating_mul(stride).saturating_add(n) <= c.len());
    #[cfg(target_arch = "x86_64")]
    if simd::level() == Level::Avx2 {
        // SAFETY: the processor has AVX2 and FMA; the assertions keep every access inside the slices.
        return unsafe { avx2::matmul((m, n, k), a, b, c, stride, write) };
    }
    // SAFETY: as above.
    unsafe { library((m, n, k), a, b, c, stride, write) }
}

/// The product of the `gemm` crate.
///
/// # Safety
/// The three matrices must lie inside their slices.
unsafe fn library(
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    stride: usize,
    write: Write,
) {
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    // SAFETY: passed on from the caller; `c` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride as isize,
            write == Write::Add,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    /// Tiles, strips, panels, chunks (384) and blocks (144) cut in the middle, and the empty inner dimension.
    const SHAPES: [(usize, usize, usize); 12] = [
        (1, 1, 1),
        (6, 16, 4),
        (5, 15, 3),
        (7, 17, 9),
        (1, 40, 385),
        (13, 1, 770),
        (64, 2, 30),
        (146, 33, 5),
        (301, 50, 129),
        (12, 48, 0),
        (33, 700, 67),
        (20, 3000, 1700),
    ];

    #[test]
    fn products_agree_with_f64_over_odd_shapes_and_every_orientation() {
        for (m, n, k) in SHAPES {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let transposed = |x: &[f32], rows: usize, columns: usize| {
                let mut t = vec![0.0; x.len()];
                for i in 0..rows {
                    for j in 0..columns {
                        t[j * rows + i] = x[i * columns + j];
                    }
                }
                t
            };
            let (a_t, b_t) = (transposed(&a, m, k), transposed(&b, k, n));
            let exact: Vec<f64> = (0..m * n)
                .map(|at| (0..k).map(|p| f64::from(a[at / n * k + p]) * f64::from(b[p * n + at % n])).sum())
                .collect();
            let stride = n + 3;
            for (left, right) in [
                (View::rows(&a, k), View::rows(&b, n)),
                (View::rows(&a_t, m).t(), View::rows(&b, n)),
                (View::rows(&a, k), View::rows(&b_t, k).t()),
                (View::rows(&a_t, m).t(), View::rows(&b_t, k).t()),
            ] {
                let cases = [Write::Replace, Write::Add].map(|write| [(write, true), (write, false)]);
                for (write, chosen) in cases.into_iter().flatten() {
                    let before = numbers(m * stride, 3);
                    let mut c = before.clone();
                    if chosen {
                        matmul((m, n, k), left, right, &mut c, stride, write);
                    } else {
                        // SAFETY: the three buffers were made for this shape.
                        unsafe { library((m, n, k), left, right, &mut c, stride, write) };
                    }
                    for (at, value) in c.iter().enumerate() {
                        let (i, j) = (at / stride, at % stride);
                        if j >= n {
                            assert_eq!(*value, before[at], "written beyond column {n}");
                            continue;
                        }
                        let old = if write == Write::Add { f64::from(before[at]) } else { 0.0 };
                        let error = (f64::from(*value) - exact[i * n + j] - old).abs();
                        assert!(error < 2e-5, "{m} × {n} × {k}, {write:?}, ({i}, {j}) is off by {error:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        for (m, n, k) in SHAPES {
            let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
            let product = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut c = vec![0.0; m * n];
                pool.install(|| {
                    matmul((m, n, k), View::rows(&a, k), View::rows(&b, n), &mut c, n, Write::Replace);
                });
                c.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            let alone = product(1);
            for threads in [2, 3, 8] {
                assert!(product(threads) == alone, "{m} × {n} × {k} on {threads} threads");
            }
        }
    }
}
