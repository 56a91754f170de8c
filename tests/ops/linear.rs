//! The linear layer and the product under it: the three orientations of a training step, biases, rows inside wider ones.

use crate::support::{Sums, holds, numbers, on_threads, rows, wide, width};
use lottery::ops::{
    Format, linear,
    product::{View, Write, matmul},
};
use proptest::prelude::{Strategy, any, prop};

/// Largest error, as a part of the sizes of the terms; measured: below 3e-7.
const TOLERANCE: f64 = 5e-7;

/// y = x Wᵀ, dx += dy W, dW += dyᵀ x, db += Σ dy, y + b: (n, i) and (o, i)
fn check(n: usize, i: usize, o: usize, seed: u64) {
    let [x, w, dy] = [(n * i, 1), (o * i, 2), (n * o, 3)].map(|(len, name)| numbers(len, seed, name));
    let [dx_old, dw_old, db_old] =
        [(n * i, 4), (o * i, 5), (o, 6)].map(|(len, name)| numbers(len, seed, name));
    let [y, dx, dx_added, dw, db, biased] = on_threads(|| {
        let (mut y, mut dx) = (vec![f32::NAN; n * o], vec![f32::NAN; n * i]);
        linear::forward(Format::F32, &x, &w, (n, i, o), None, &mut y);
        linear::backward_input(Format::F32, &dy, &w, (n, i, o), &mut dx, Write::Replace);
        let (mut dx_added, mut dw, mut db) = (dx_old.clone(), dw_old.clone(), db_old.clone());
        linear::backward_input(Format::F32, &dy, &w, (n, i, o), &mut dx_added, Write::Add);
        linear::backward_weight(Format::F32, &dy, &x, (n, i, o), &mut dw, &mut db);
        let mut biased = vec![f32::NAN; n * o];
        linear::forward(Format::F32, &x, &w, (n, i, o), Some(&db_old), &mut biased);
        [y, dx, dx_added, dw, db, biased]
    });
    let (mut exact_y, mut exact_dx) = (Sums::zeros(n * o), Sums::zeros(n * i));
    let mut exact_added = Sums::from(&dx_old);
    let (mut exact_dw, mut exact_db) = (Sums::from(&dw_old), Sums::from(&db_old));
    let mut exact_biased = Sums::zeros(n * o);
    let (x64, w64) = (wide(&x), wide(&w));
    for r in 0..n {
        let x = &x64[r * i..(r + 1) * i];
        for c in 0..o {
            let w = &w64[c * i..(c + 1) * i];
            (0..i).for_each(|k| exact_y.add(r * o + c, x[k] * w[k]));
            (0..i).for_each(|k| exact_biased.add(r * o + c, x[k] * w[k]));
            let d = f64::from(dy[r * o + c]);
            exact_dx.add_row(r * i, (d, d.abs()), w);
            exact_added.add_row(r * i, (d, d.abs()), w);
            exact_dw.add_row(c * i, (d, d.abs()), x);
            exact_db.add(c, d);
            exact_biased.add(r * o + c, f64::from(db_old[c]));
        }
    }
    exact_y.assert_near(&y, TOLERANCE, "y");
    exact_dx.assert_near(&dx, TOLERANCE, "dx");
    exact_added.assert_near(&dx_added, TOLERANCE, "dx, added");
    exact_dw.assert_near(&dw, TOLERANCE, "dw");
    exact_db.assert_near(&db, TOLERANCE, "db");
    exact_biased.assert_near(&biased, TOLERANCE, "y + b");
}

#[test]
fn linear_layers_agree_with_f64_in_the_corners() {
    // No heads: nothing comes out of one product and nothing goes into the next.
    for (n, i, o) in
        [(1, 1, 1), (5, 17, 0), (5, 0, 17), (511, 1, 5), (511, 33, 24), (1, 130, 100), (16, 5, 300)]
    {
        check(n, i, o, 8);
    }
}

#[test]
fn linear_layers_agree_with_f64_over_drawn_shapes() {
    // Not three large numbers at once.
    let shapes = (rows(), width(), width()).prop_filter("large", |(n, i, o)| n * i * o < 600_000);
    holds(16, (shapes, any::<u64>()), |((n, i, o), seed)| check(n, i, o, seed));
}

/// c (m, n) = a b, each a part of wider rows whose other columns are NaN, either way round.
fn check_views((m, n, k): (usize, usize, usize), gaps: [usize; 3], turned: [bool; 2], seed: u64) {
    let [a, b, old] = [(m * k, 1), (k * n, 2), (m * n, 3)].map(|(len, name)| numbers(len, seed, name));
    // The matrix in rows, or its transpose in rows, with a gap behind each.
    let stored = |x: &[f32], rows: usize, columns: usize, gap: usize, turned: bool| {
        let (outer, inner) = if turned { (columns, rows) } else { (rows, columns) };
        let mut to = vec![f32::NAN; outer * (inner + gap)];
        for i in 0..rows {
            for j in 0..columns {
                let (row, column) = if turned { (j, i) } else { (i, j) };
                to[row * (inner + gap) + column] = x[i * columns + j];
            }
        }
        (to, inner + gap)
    };
    let ((left, left_stride), (right, right_stride)) =
        (stored(&a, m, k, gaps[0], turned[0]), stored(&b, k, n, gaps[1], turned[1]));
    let (before, stride) = stored(&old, m, n, gaps[2], false);
    let view = |x, stride, turned| {
        let rows = View::rows(x, stride);
        if turned { rows.t() } else { rows }
    };
    let [c] = on_threads(|| {
        let (a, b) = (view(&left, left_stride, turned[0]), view(&right, right_stride, turned[1]));
        let mut c = before.clone();
        matmul(Format::F32, (m, n, k), a, b, &mut c, stride, Write::Add);
        [c]
    });
    let mut exact = Sums::from(&old);
    let b = wide(&b);
    for i in 0..m {
        for p in 0..k {
            let a = f64::from(a[i * k + p]);
            exact.add_row(i * n, (a, a.abs()), &b[p * n..(p + 1) * n]);
        }
    }
    let inside: Vec<f32> = c.chunks(stride).flat_map(|row| row[..n].to_vec()).collect();
    exact.assert_near(&inside, TOLERANCE, "c");
    assert!(c.chunks(stride).all(|row| row[n..].iter().all(|v| v.is_nan())), "written beyond column {n}");
}

#[test]
fn products_of_strided_and_turned_views_agree_with_f64() {
    let gap = || prop::sample::select(vec![0, 1, 7, 64]);
    let gaps = (gap(), gap(), gap()).prop_map(|(a, b, c)| [a, b, c]);
    let turned = (any::<bool>(), any::<bool>()).prop_map(|(a, b)| [a, b]);
    let sizes = (width(), width(), rows()).prop_filter("large", |(m, n, k)| m * n * k < 600_000);
    holds(24, (sizes, gaps, turned, any::<u64>()), |(sizes, gaps, turned, seed)| {
        check_views(sizes, gaps, turned, seed);
    });
}
