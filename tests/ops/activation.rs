//! Bias and activation.

use crate::support::{Sums, holds, inner, moved, numbers, on_threads, rows, slope, wide, width};
use lottery::ops::{
    Format,
    activation::{self, Activation},
};
use proptest::prelude::any;
use std::f64::consts::{PI, SQRT_2};

/// Largest error, as a part of the argument's size: Φ is approximated to 1.5e-7.
const TOLERANCE: f64 = 1e-6;

/// (Φ(h), φ(h))
fn normal(h: f64) -> (f64, f64) {
    (0.5 * libm::erfc(-h / SQRT_2), (-0.5 * h * h).exp() / (2.0 * PI).sqrt())
}

const ALL: [Activation; 3] = [Activation::Gelu, Activation::GeluTanh, Activation::Relu];

/// f(h) and f'(h), and the size of what f'(h) is the sum of.
fn function(of: Activation, h: f64) -> [f64; 3] {
    match of {
        Activation::Gelu => {
            let (cumulative, density) = normal(h);
            [h * cumulative, cumulative + h * density, 1.0 + h.abs() * density]
        }
        Activation::GeluTanh => {
            let c = (2.0 / PI).sqrt();
            let t = (c * (h + 0.044715 * h.powi(3))).tanh();
            let rest = 0.5 * h * (1.0 - t * t) * c * (1.0 + 3.0 * 0.044715 * h * h);
            [0.5 * h * (1.0 + t), 0.5 * (1.0 + t) + rest, 1.0 + rest.abs()]
        }
        Activation::Relu => [h.max(0.0), f64::from(u8::from(h > 0.0)), 1.0],
    }
}

/// f(x + bias) and its gradient by x.
fn exact(of: Activation, x: &[f64], bias: &[f64], da: &[f64]) -> [Sums; 2] {
    let [mut a, mut dh] = [Sums::zeros(x.len()), Sums::zeros(x.len())];
    for i in 0..x.len() {
        let h = x[i] + bias[i % bias.len()];
        let [value, slope, size] = function(of, h);
        a.add_sized(i, value, h.abs());
        dh.add_sized(i, da[i] * slope, da[i].abs() * size);
    }
    [a, dh]
}

/// Between identities as weights, so that the products around the activation are exact.
fn check(of: Activation, n: usize, f: usize, scale: f32, seed: u64) {
    let scaled = |x: Vec<f32>| x.into_iter().map(|v| v * scale).collect::<Vec<_>>();
    let (x, bias) = (scaled(numbers(n * f, seed, 1)), scaled(numbers(f, seed, 2)));
    let da = numbers(n * f, seed, 3);
    let identity: Vec<f32> = (0..f * f).map(|at| f32::from(u8::from(at / f == at % f))).collect();
    let [h, a, again, dh, alone] = on_threads(|| {
        let [mut h, mut a, mut dh] = [(); 3].map(|()| vec![f32::NAN; n * f]);
        activation::linear_forward(of, Format::F32, &x, &identity, (n, f, f), &bias, &mut h, Some(&mut a));
        let (mut again, mut in_plain) = (h.clone(), h.clone());
        activation::linear_backward(of, Format::F32, &da, &identity, (n, f, f), &mut again, &mut dh);
        let mut alone = da.clone();
        activation::backward(of, &mut in_plain, &mut alone);
        assert!(in_plain == again);
        [h, a, again, dh, alone]
    });
    let [exact_a, exact_dh] = exact(of, &wide(&x), &wide(&bias), &wide(&da));
    assert!(h.iter().enumerate().all(|(i, h)| *h == x[i] + bias[i % f]));
    exact_a.assert_near(&a, TOLERANCE, "a");
    exact_dh.assert_near(&dh, TOLERANCE, "dh");
    assert!(again == a, "h becomes f(h)");
    assert!(alone == dh, "behind a product the gradient is another");
}

#[test]
fn activations_agree_with_f64_in_the_corners() {
    for of in ALL {
        for (n, f) in [(1, 1), (1, 130), (511, 1), (511, 17), (17, 100), (3, 300)] {
            check(of, n, f, 3.0, 5);
        }
        // Where Φ is 0 or 1.
        check(of, 20, 33, 30.0, 6);
    }
}

#[test]
fn activations_agree_with_f64_over_drawn_shapes() {
    let drawn = (0..ALL.len(), rows(), width(), 0.1f32..8.0, any::<u64>());
    holds(24, drawn, |(of, n, f, scale, seed)| check(ALL[of], n, f, scale, seed));
}

#[test]
fn the_references_have_the_gradients_that_finite_differences_give() {
    let (n, f) = (7, 5);
    let [x, bias, da] = [(n * f, 1), (f, 2), (n * f, 3)].map(|(n, name)| wide(&numbers(n, 1, name)));
    for of in ALL {
        // A step does not cross the bend of a ReLU.
        let away = |(i, x): (usize, &f64)| if (x + bias[i % f]).abs() < 0.1 { x + 0.3 } else { *x };
        let x: Vec<f64> = x.iter().enumerate().map(away).collect();
        let [_, dh] = exact(of, &x, &bias, &da);
        let objective = |x: &[f64], bias: &[f64]| inner(&exact(of, x, bias, &da)[0].value, &da);
        let along = wide(&numbers(n * f, 2, 1));
        let found = slope(|h| objective(&moved(&x, &along, h), &bias));
        assert!((found - inner(&dh.value, &along)).abs() < 1e-9, "{of:?}");
    }
}

#[test]
fn a_nan_stays_one_and_the_ends_are_finite() {
    for of in ALL {
        let (mut h, mut d) = (vec![f32::NAN, -1e30, -1e4, 1e4, 0.0], vec![1.0; 5]);
        activation::backward(of, &mut h, &mut d);
        let near = h[1..].iter().zip([0.0, 0.0, 1e4, 0.0]).all(|(h, wanted)| (h - wanted).abs() < 1e-6);
        assert!(h[0].is_nan() && near, "{of:?} {h:?}");
        assert!(d[1..].iter().all(|d| d.is_finite()), "{of:?} {d:?}");
    }
}
