//! The linear layer: y = x Wᵀ + b, and both its gradients.

use super::{
    Format,
    product::{Part, ProductOptions, View, Write, matmul},
};

/// y ← x Wᵀ + b: (n, i) · (i, o) → (n, o), W as (o, i). Without a bias the next kernel adds it.
pub fn forward(
    format: Format,
    x: &[f32],
    w: &[f32],
    (n, i, o): (usize, usize, usize),
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let add = |bias: &[f32], mut part: Part| {
        let columns = part.column..part.column + part.columns;
        for (_, row) in part.rows() {
            row.iter_mut().zip(&bias[columns.clone()]).for_each(|(v, b)| *v += b);
        }
    };
    let add = bias.map(|bias| move |part: Part| add(bias, part));
    let epilogue = add.as_ref().map(|add| add as &(dyn Fn(Part) + Sync));
    let options = ProductOptions { write: Write::Replace, epilogue, row_sums: None };
    matmul(format, (n, o, i), View::rows(x, i), View::rows(w, i).t(), y, o, options);
}

/// dx ← dy W, or dx += dy W: (n, o) · (o, i) → (n, i).
pub fn backward_input(
    format: Format,
    dy: &[f32],
    w: &[f32],
    (n, i, o): (usize, usize, usize),
    dx: &mut [f32],
    write: Write,
) {
    matmul(format, (n, i, o), View::rows(dy, o), View::rows(w, i), dx, i, write);
}

/// dW += dyᵀ x: (o, n) · (n, i) → (o, i); db (o) += the sum of dy's rows.
pub fn backward_weight(
    format: Format,
    dy: &[f32],
    x: &[f32],
    (n, i, o): (usize, usize, usize),
    dw: &mut [f32],
    db: &mut [f32],
) {
    let options = ProductOptions { write: Write::Add, epilogue: None, row_sums: Some(db) };
    matmul(format, (o, i, n), View::rows(dy, o).t(), View::rows(x, i), dw, i, options);
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
            let bias = numbers(o, 4);
            let mut y = vec![0.0; n * o];
            forward(Format::F32, &x, &w, (n, i, o), Some(&bias), &mut y);
            for (at, (a, b)) in y.iter().zip(reference(&x, &w, n, i, o)).enumerate() {
                assert!((f64::from(*a) - b - f64::from(bias[at % o])).abs() < 1e-5);
            }
            let (mut dx, mut dw, mut db) = (vec![1.0; n * i], vec![2.0; o * i], vec![3.0; o]);
            backward_input(Format::F32, &dy, &w, (n, i, o), &mut dx, Write::Add);
            backward_weight(Format::F32, &dy, &x, (n, i, o), &mut dw, &mut db);
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
