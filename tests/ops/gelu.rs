//! Bias and GELU.

use crate::support::{Sums, holds, inner, moved, numbers, on_threads, rows, slope, wide, width};
use lottery::ops::gelu;
use proptest::prelude::any;
use std::f64::consts::{PI, SQRT_2};

/// Largest error, as a part of the argument's size: Φ is approximated to 1.5e-7.
const TOLERANCE: f64 = 1e-6;

/// (Φ(h), φ(h))
fn normal(h: f64) -> (f64, f64) {
    (0.5 * libm::erfc(-h / SQRT_2), (-0.5 * h * h).exp() / (2.0 * PI).sqrt())
}

/// gelu(x + bias), its gradient by x, and the column sums of that.
fn exact(x: &[f64], bias: &[f64], da: &[f64], db: &[f32]) -> [Sums; 3] {
    let f = bias.len();
    let [mut a, mut dh] = [Sums::zeros(x.len()), Sums::zeros(x.len())];
    let mut db = Sums::from(db);
    for i in 0..x.len() {
        let h = x[i] + bias[i % f];
        let (cumulative, density) = normal(h);
        a.add_sized(i, h * cumulative, h.abs());
        let (term, size) = (da[i] * (cumulative + h * density), da[i].abs() * (1.0 + h.abs() * density));
        dh.add_sized(i, term, size);
        db.add_sized(i % f, term, size);
    }
    [a, dh, db]
}

fn check(n: usize, f: usize, scale: f32, seed: u64) {
    let scaled = |x: Vec<f32>| x.into_iter().map(|v| v * scale).collect::<Vec<_>>();
    let (x, bias) = (scaled(numbers(n * f, seed, 1)), scaled(numbers(f, seed, 2)));
    let (da, db) = (numbers(n * f, seed, 3), numbers(f, seed, 4));
    let [h, a, dh, sums, again] = on_threads(|| {
        let (mut h, mut a) = (x.clone(), vec![f32::NAN; n * f]);
        gelu::forward(&mut h, &bias, &mut a);
        let (mut dh, mut sums, mut again) = (da.clone(), db.clone(), da.clone());
        gelu::backward(&h, &mut dh, f, Some(&mut sums));
        gelu::backward(&h, &mut again, f, None);
        [h, a, dh, sums, again]
    });
    let [exact_a, exact_dh, exact_db] = exact(&wide(&x), &wide(&bias), &wide(&da), &db);
    assert!(h.iter().enumerate().all(|(i, h)| *h == x[i] + bias[i % f]));
    exact_a.assert_near(&a, TOLERANCE, "a");
    exact_dh.assert_near(&dh, TOLERANCE, "dh");
    exact_db.assert_near(&sums, TOLERANCE, "db");
    assert!(again == dh, "the bias's gradient changes the input's");
}

#[test]
fn gelu_agrees_with_f64_in_the_corners() {
    for (n, f) in [(1, 1), (1, 130), (511, 1), (511, 17), (17, 100), (3, 1040)] {
        check(n, f, 3.0, 5);
    }
    // Where Φ is 0 or 1.
    check(20, 33, 30.0, 6);
}

#[test]
fn gelu_agrees_with_f64_over_drawn_shapes() {
    holds(16, (rows(), width(), 0.1f32..8.0, any::<u64>()), |(n, f, scale, seed)| check(n, f, scale, seed));
}

#[test]
fn the_reference_has_the_gradients_that_finite_differences_give() {
    let (n, f) = (7, 5);
    let [x, bias, da] = [(n * f, 1), (f, 2), (n * f, 3)].map(|(n, name)| wide(&numbers(n, 1, name)));
    let [_, dh, db] = exact(&x, &bias, &da, &[0.0; 5]);
    let objective = |x: &[f64], bias: &[f64]| inner(&exact(x, bias, &da, &[0.0; 5])[0].value, &da);
    let (along_x, along_bias) = (wide(&numbers(n * f, 2, 1)), wide(&numbers(f, 2, 2)));
    let found = slope(|h| objective(&moved(&x, &along_x, h), &bias));
    assert!((found - inner(&dh.value, &along_x)).abs() < 1e-9);
    let found = slope(|h| objective(&x, &moved(&bias, &along_bias, h)));
    assert!((found - inner(&db.value, &along_bias)).abs() < 1e-9);
}
