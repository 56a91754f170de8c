use super::*;
use half::bf16;
use std::sync::Mutex;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// Tiles, strips, panels, chunks (384 and, of pairs, 768) and blocks (144, 192, 384) cut in the middle, and the empty
/// inner dimension.
const SHAPES: [(usize, usize, usize); 14] = [
    (1, 1, 1),
    (6, 16, 4),
    (12, 32, 8),
    (5, 15, 3),
    (7, 17, 9),
    (1, 40, 385),
    (13, 1, 770),
    (64, 2, 30),
    (146, 33, 5),
    (401, 50, 129),
    (12, 48, 0),
    (33, 700, 67),
    (3, 3000, 770),
    (25, 70, 2),
];

/// All kernels that this processor can run.
fn all() -> Vec<Kernels> {
    let mut all = vec![Kernels::Library];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.extend([Kernels::Avx2, Kernels::Avx2Rounded]);
        }
        if ["f", "bw", "dq", "vl"].iter().all(|name| has_avx512(name)) {
            all.extend([Kernels::Avx512, Kernels::Avx512Rounded]);
            if is_x86_feature_detected!("avx512bf16") {
                all.push(Kernels::Avx512Bf16);
            }
        }
    }
    all
}

#[cfg(target_arch = "x86_64")]
fn has_avx512(part: &str) -> bool {
    match part {
        "f" => is_x86_feature_detected!("avx512f"),
        "bw" => is_x86_feature_detected!("avx512bw"),
        "dq" => is_x86_feature_detected!("avx512dq"),
        _ => is_x86_feature_detected!("avx512vl"),
    }
}

/// The value that these kernels compute with.
fn as_operand(kernels: Kernels, x: f32) -> f64 {
    match kernels {
        Kernels::Library | Kernels::Avx2 | Kernels::Avx512 => f64::from(x),
        _ => bf16::from_f32(x).to_f64(),
    }
}

fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut t = vec![0.0; x.len()];
    for i in 0..rows {
        for j in 0..columns {
            t[j * rows + i] = x[i * columns + j];
        }
    }
    t
}

/// A product into a buffer, on all threads or on this one.
fn run(
    kernels: Kernels,
    shape: (usize, usize, usize),
    a: View,
    b: View,
    (c, stride): (&mut [f32], usize),
    write: Write,
    parallel: bool,
) {
    // SAFETY: pointer and length are an exclusively borrowed slice's, and `all` lists what the processor has.
    unsafe { product(kernels, shape, a, b, (c.as_mut_ptr(), c.len(), stride), write.into(), parallel) }
}

#[test]
fn products_agree_with_f64_over_odd_shapes_and_every_orientation() {
    for (kernels, (m, n, k)) in all().into_iter().flat_map(|k| SHAPES.map(|shape| (k, shape))) {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (a_t, b_t) = (transposed(&a, m, k), transposed(&b, k, n));
        let [left, right] = [&a, &b].map(|x| x.iter().map(|v| as_operand(kernels, *v)).collect::<Vec<f64>>());
        let exact: Vec<f64> =
            (0..m * n).map(|at| (0..k).map(|p| left[at / n * k + p] * right[p * n + at % n]).sum()).collect();
        let stride = n + 3;
        for (left, right) in [
            (View::rows(&a, k), View::rows(&b, n)),
            (View::rows(&a_t, m).t(), View::rows(&b, n)),
            (View::rows(&a, k), View::rows(&b_t, k).t()),
            (View::rows(&a_t, m).t(), View::rows(&b_t, k).t()),
        ] {
            let cases = [Write::Replace, Write::Add].map(|write| [(write, true), (write, false)]);
            for (write, parallel) in cases.into_iter().flatten() {
                let before = numbers(m * stride, 3);
                let mut c = before.clone();
                run(kernels, (m, n, k), left, right, (&mut c, stride), write, parallel);
                for (at, value) in c.iter().enumerate() {
                    let (i, j) = (at / stride, at % stride);
                    if j >= n {
                        assert_eq!(*value, before[at], "written beyond column {n}");
                        continue;
                    }
                    let old = if write == Write::Add { f64::from(before[at]) } else { 0.0 };
                    let error = (f64::from(*value) - exact[i * n + j] - old).abs();
                    let of = format!("{kernels:?}, {m} × {n} × {k}, {write:?}, parallel {parallel}");
                    assert!(error < 2e-5, "{of}: ({i}, {j}) is off by {error:e}");
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_and_neither_does_doing_without_them() {
    for (kernels, (m, n, k)) in all().into_iter().flat_map(|k| SHAPES.map(|shape| (k, shape))) {
        let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
        let product = |threads, parallel| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut c = vec![0.0; m * n];
            pool.install(|| {
                let (a, b) = (View::rows(&a, k), View::rows(&b, n));
                run(kernels, (m, n, k), a, b, (&mut c, n), Write::Replace, parallel);
            });
            c.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let alone = product(1, false);
        for threads in [1, 2, 3, 8] {
            assert!(product(threads, true) == alone, "{kernels:?}, {m} × {n} × {k} on {threads} threads");
        }
    }
}

#[test]
fn every_element_is_finished_once_when_it_is_complete() {
    for (kernels, (m, n, k)) in all().into_iter().flat_map(|k| SHAPES.map(|shape| (k, shape))) {
        let (a, b) = (numbers(m * k, 6), numbers(k * n, 7));
        let (a, b) = (View::rows(&a, k), View::rows(&b, n));
        let mut plain = vec![0.0; m * n];
        run(kernels, (m, n, k), a, b, (&mut plain, n), Write::Replace, true);
        let found = Mutex::new(vec![(0, 0f32); m * n]);
        let epilogue = |mut part: Part| {
            let (mut found, column) = (found.lock().unwrap(), part.column);
            for (row, values) in part.rows() {
                for (j, v) in values.iter_mut().enumerate() {
                    let (times, value) = &mut found[row * n + column + j];
                    (*times, *value) = (*times + 1, *v);
                    *v = -1.0;
                }
            }
        };
        let mut c = vec![0.0; m * n];
        // SAFETY: pointer and length are an exclusively borrowed slice's, and `all` lists what the processor has.
        unsafe {
            let options = ProductOptions { write: Write::Replace, epilogue: Some(&epilogue), row_sums: None };
            product(kernels, (m, n, k), a, b, (c.as_mut_ptr(), m * n, n), options, true);
        }
        assert!(c.iter().all(|v| *v == -1.0), "{kernels:?}, {m} × {n} × {k}");
        let expected: Vec<(i32, f32)> = plain.into_iter().map(|v| (1, v)).collect();
        assert!(found.into_inner().unwrap() == expected, "{kernels:?}, {m} × {n} × {k}");
    }
}

#[test]
fn rows_of_the_left_operand_are_summed_in_passing() {
    for (kernels, (m, n, k)) in all().into_iter().flat_map(|k| SHAPES.map(|shape| (k, shape))) {
        let (a, b) = (numbers(m * k, 8), numbers(k * n, 9));
        let a_t = transposed(&a, m, k);
        for left in [View::rows(&a, k), View::rows(&a_t, m).t()] {
            let (mut c, mut sums) = (vec![0.0; m * n], vec![0.5; m]);
            let options = ProductOptions { write: Write::Add, epilogue: None, row_sums: Some(&mut sums) };
            // SAFETY: pointer and length are an exclusively borrowed slice's, and `all` lists what the processor has.
            unsafe {
                product(
                    kernels,
                    (m, n, k),
                    left,
                    View::rows(&b, n),
                    (c.as_mut_ptr(), m * n, n),
                    options,
                    true,
                );
            }
            for (i, found) in sums.iter().enumerate() {
                let exact: f64 = (0..k).map(|p| f64::from(a[i * k + p])).sum::<f64>() + 0.5;
                let error = (f64::from(*found) - exact).abs();
                assert!(error < 2e-5, "{kernels:?}, {m} × {n} × {k}: row {i} is off by {error:e}");
            }
        }
    }
}

#[test]
fn an_epilogue_may_multiply_and_enter_rayon() {
    let (m, n, k) = (150, 700, 40);
    let (inner_m, inner_n, inner_k) = (20, 70, 30);
    let (a, b) = (numbers(m * k, 10), numbers(k * n, 11));
    let (small_a, small_b) = (numbers(inner_m * inner_k, 12), numbers(inner_k * inner_n, 13));
    let inner = |kernels, parallel| {
        let mut c = vec![0.0; inner_m * inner_n];
        let (a, b) = (View::rows(&small_a, inner_k), View::rows(&small_b, inner_n));
        let shape = (inner_m, inner_n, inner_k);
        run(kernels, shape, a, b, (&mut c, inner_n), Write::Replace, parallel);
        c
    };
    for (kernels, threads) in all().into_iter().flat_map(|k| [1, 2, 3].map(|threads| (k, threads))) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (c, plain) = pool.install(|| {
            let (a, b) = (View::rows(&a, k), View::rows(&b, n));
            let mut plain = vec![0.0; m * n];
            run(kernels, (m, n, k), a, b, (&mut plain, n), Write::Replace, true);
            let small = inner(kernels, false);
            let epilogue = |mut part: Part| {
                // While it waits for these, this thread may take up another task of the product around it.
                let found: Vec<Vec<f32>> =
                    (0..4).into_par_iter().map(|i| inner(kernels, i % 2 == 0)).collect();
                assert!(found.iter().all(|found| *found == small));
                part.rows().for_each(|(_, row)| row.iter_mut().for_each(|v| *v += 1.0));
            };
            let mut c = vec![0.0; m * n];
            let options = ProductOptions { write: Write::Replace, epilogue: Some(&epilogue), row_sums: None };
            // SAFETY: pointer and length are an exclusively borrowed slice's, and `all` lists what the processor has.
            unsafe { product(kernels, (m, n, k), a, b, (c.as_mut_ptr(), m * n, n), options, true) };
            (c, plain)
        });
        assert!(c.iter().zip(&plain).all(|(c, plain)| *c == plain + 1.0), "{kernels:?} on {threads} threads");
    }
}
