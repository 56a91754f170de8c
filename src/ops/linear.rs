//! The linear layer: y = x Wᵀ + b, and both its gradients.

use super::{
    SUM_PARTS,
    product::{View, Write, matmul},
};
use crate::dispatch;
use rayon::prelude::*;

/// y ← x Wᵀ without the bias, which the next kernel adds: (n, i) · (i, o) → (n, o), W as (o, i).
pub fn forward(x: &[f32], w: &[f32], n: usize, i: usize, o: usize, y: &mut [f32]) {
    matmul((n, o, i), View::rows(x, i), View::rows(w, i).t(), y, o, Write::Replace);
}

/// dx ← dy W, or dx += dy W: (n, o) · (o, i) → (n, i).
pub fn backward_input(dy: &[f32], w: &[f32], n: usize, i: usize, o: usize, dx: &mut [f32], write: Write) {
    matmul((n, i, o), View::rows(dy, o), View::rows(w, i), dx, i, write);
}

/// dW += dyᵀ x: (o, n) · (n, i) → (o, i).
pub fn backward_weight(dy: &[f32], x: &[f32], n: usize, i: usize, o: usize, dw: &mut [f32]) {
    matmul((o, i, n), View::rows(dy, o).t(), View::rows(x, i), dw, i, Write::Add);
}

dispatch! {
    fn add_rows(rows: &[f32], sum: &mut [f32]) {
        for row in rows.chunks_exact(sum.len()) {
            for (s, v) in sum.iter_mut().zip(row) {
                *s += v;
            }
        }
    }
}

dispatch! {
    fn add_to_rows(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (v, b) in row.iter_mut().zip(bias) {
                *v += b;
            }
        }
    }
}

/// Adds the bias to every row of y (n, o).
pub fn add_bias(y: &mut [f32], bias: &[f32]) {
    if bias.is_empty() {
        return;
    }
    y.par_chunks_mut(bias.len() * super::ROWS_PER_TASK).for_each(|rows| add_to_rows(rows, bias));
}

/// db += the sum of dy's rows (n, o).
pub fn backward_bias(dy: &[f32], db: &mut [f32]) {
    let o = db.len();
    if o == 0 || dy.is_empty() {
        return;
    }
    let rows = (dy.len() / o).div_ceil(SUM_PARTS);
    let parts: Vec<Vec<f32>> = dy
        .par_chunks(rows * o)
        .map(|part| {
            let mut sum = vec![0.0; o];
            add_rows(part, &mut sum);
            sum
        })
        .collect();
    parts.iter().for_each(|part| add_rows(part, db));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    /// y = x Wᵀ in f64.
    fn reference(x: &[f32], w: &[f32], n: usize, i: usize, o: usize) -> Vec<f64> {
        let mut y = vec![0.0; n * o];
        for r in 0..n {
            for c in 0..o {
                y[r * o + c] = (0..i).map(|k| f64::from(x[r * i + k]) * f64::from(w[c * i + k])).sum();
            }
        }
        y
    }

    #[test]
    fn products_and_gradients_agree_with_f64_over_odd_shapes() {
        for (n, i, o) in [(1, 1, 1), (1, 17, 3), (5, 8, 2), (33, 65, 31), (129, 48, 50), (7, 3, 0)] {
            let (x, w, dy) = (numbers(n * i, 1), numbers(o * i, 2), numbers(n * o, 3));
            let mut y = vec![0.0; n * o];
            forward(&x, &w, n, i, o, &mut y);
            for (a, b) in y.iter().zip(reference(&x, &w, n, i, o)) {
                assert!((f64::from(*a) - b).abs() < 1e-5);
            }
            let (mut dx, mut dw, mut db) = (vec![1.0; n * i], vec![2.0; o * i], vec![3.0; o]);
            backward_input(&dy, &w, n, i, o, &mut dx, Write::Add);
            backward_weight(&dy, &x, n, i, o, &mut dw);
            backward_bias(&dy, &mut db);
            for r in 0..n {
                for k in 0..i {
                    let exact: f32 = (0..o).map(|c| dy[r * o + c] * w[c * i + k]).sum();
                    assert!((dx[r * i + k] - 1.0 - exact).abs() < 1e-4);
                }
            }
            for c in 0..o {
                for k in 0..i {
                    let exact: f32 = (0..n).map(|r| dy[r * o + c] * x[r * i + k]).sum();
                    assert!((dw[c * i + k] - 2.0 - exact).abs() < 1e-4);
                }
                let exact: f32 = (0..n).map(|r| dy[r * o + c]).sum();
                assert!((db[c] - 3.0 - exact).abs() < 1e-4);
            }
        }
    }
}
