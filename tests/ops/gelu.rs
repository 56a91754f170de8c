//! Bias and GELU.

use crate::support::{Sums, holds, inner, moved, numbers, on_threads, rows, slope, wide, width};
use lottery::ops::{Format, gelu};
use proptest::prelude::any;
use std::f64::consts::{PI, SQRT_2};

/// Largest error, as a part of the argument's size: Φ is approximated to 1.5e-7.
const TOLERANCE: f64 = 1e-6;

/// (Φ(h), φ(h))
fn normal(h: f64) -> (f64, f64) {
    (0.5 * libm::erfc(-h / SQRT_2), (-0.5 * h * h).exp() / (2.0 * PI).sqrt())
}

/// gelu(x + bias) and its gradient by x.
fn exact(x: &[f64], bias: &[f64], da: &[f64]) -> [Sums; 2] {
    let [mut a, mut dh] = [Sums::zeros(x.len()), Sums::zeros(x.len())];
    for i in 0..x.len() {
        let h = x[i] + bias[i % bias.len()];
        let (cumulative, density) = normal(h);
        a.add_sized(i, h * cumulative, h.abs());
        dh.add_sized(i, da[i] * (cumulative + h * density), da[i].abs() * (1.0 + h.abs() * density));
    }
    [a, dh]
}

/// Between identities as weights, so that the products around the GELU are exact.
fn check(n: usize, f: usize, scale: f32, seed: u64) {
    let scaled = |x: Vec<f32>| x.into_iter().map(|v| v * scale).collect::<Vec<_>>();
    let (x, bias) = (scaled(numbers(n * f, seed, 1)), scaled(numbers(f, seed, 2)));
    let da = numbers(n * f, seed, 3);
    let identity: Vec<f32> = (0..f * f).map(|at| f32::from(u8::from(at / f == at % f))).collect();
    let [h, a, again, dh, alone] = on_threads(|| {
        let [mut h, mut a, mut dh] = [(); 3].map(|()| vec![f32::NAN; n * f]);
        gelu::linear_forward(Format::F32, &x, &identity, (n, f, f), &bias, &mut h, Some(&mut a));
        let (mut again, mut in_plain) = (h.clone(), h.clone());
        gelu::linear_backward(Format::F32, &da, &identity, (n, f, f), &mut again, &mut dh);
        let mut alone = da.clone();
        gelu::backward(&mut in_plain, &mut alone);
        assert!(in_plain == again);
        [h, a, again, dh, alone]
    });
    let [exact_a, exact_dh] = exact(&wide(&x), &wide(&bias), &wide(&da));
    assert!(h.iter().enumerate().all(|(i, h)| *h == x[i] + bias[i % f]));
    exact_a.assert_near(&a, TOLERANCE, "a");
    exact_dh.assert_near(&dh, TOLERANCE, "dh");
    assert!(again == a, "h becomes gelu(h)");
    assert!(alone == dh, "behind a product the gradient is another");
}

#[test]
fn gelu_agrees_with_f64_in_the_corners() {
    for (n, f) in [(1, 1), (1, 130), (511, 1), (511, 17), (17, 100), (3, 300)] {
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
    let [_, dh] = exact(&x, &bias, &da);
    let objective = |x: &[f64], bias: &[f64]| inner(&exact(x, bias, &da)[0].value, &da);
    let along = wide(&numbers(n * f, 2, 1));
    let found = slope(|h| objective(&moved(&x, &along, h), &bias));
    assert!((found - inner(&dh.value, &along)).abs() < 1e-9);
}
