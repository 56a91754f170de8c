//! The end of a block: bias, dropout, gate, residual, LayerNorm.

use crate::support::{Sums, holds, inner, moved, numbers, on_threads, rate, rows, slope, wide, width};
use lottery::ops::{
    dropout::{Dropout, DropoutPlan},
    layer_norm::{self, Gradients, Norm, Sublayer},
    rng::Purpose,
};
use proptest::prelude::{Strategy, any, prop};

/// Largest error, as a part of the sizes of the terms; measured: below 3e-7.
const TOLERANCE: f64 = 5e-7;
const EPSILON: f32 = 1e-12;

#[derive(Clone, Debug)]
struct Case {
    n: usize,
    h: usize,
    bias: bool,
    residual: bool,
    gate: f32,
    rate: f32,
    seed: u64,
}

/// x, bias, residual, γ, β, in f64; what is not there is 0.
type Inputs = [Vec<f64>; 5];

impl Case {
    fn numbers(&self) -> [Vec<f32>; 6] {
        let (all, h) = (self.n * self.h, self.h);
        let lengths = [all, h, all, h, h, all];
        let mut name = 0;
        let mut x = lengths.map(|len| {
            name += 1;
            numbers(len, self.seed, name)
        });
        x[3].iter_mut().for_each(|gamma| *gamma = 1.0 + 0.5 * *gamma);
        x
    }

    fn dropout(&self) -> Option<Dropout> {
        let plan = DropoutPlan {
            seed: self.seed,
            step: 3,
            hidden: self.rate,
            attention: 0.0,
            classifier: self.rate,
        };
        plan.hidden(Purpose::FfnOutputDropout, 1)
    }

    fn mask(&self) -> Vec<f32> {
        let mut mask = vec![1.0; self.n * self.h];
        if let Some(dropout) = self.dropout() {
            dropout.multipliers(0, &mut mask);
        }
        mask
    }
}

/// y, dz, dx, dγ, dβ, dbias.
fn exact(case: &Case, [x, bias, residual, gamma, beta]: &Inputs, dy: &[f64]) -> [Sums; 6] {
    let (n, h, width) = (case.n, case.h, case.h as f64);
    let (mask, gate) = (wide(&case.mask()), f64::from(case.gate));
    let [mut y, mut dz, mut dx] = [n * h; 3].map(Sums::zeros);
    let [mut d_gamma, mut d_beta, mut d_bias] = [h; 3].map(Sums::zeros);
    for r in 0..n {
        let row = r * h..(r + 1) * h;
        let (mut z, mut largest) = (vec![], 0f64);
        for (j, i) in row.clone().enumerate() {
            let out = gate * mask[i];
            z.push(residual[i] + out * (x[i] + bias[j]));
            largest = largest.max(residual[i].abs() + out * (x[i].abs() + bias[j].abs()));
        }
        let mean = z.iter().sum::<f64>() / width;
        let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / width;
        let inverse = 1.0 / (variance + f64::from(EPSILON)).sqrt();
        // The mean's rounding error is measured by the largest z; σ may be small beside it.
        let error = largest * inverse;
        let x_hat: Vec<f64> = z.iter().map(|z| (z - mean) * inverse).collect();
        let g: Vec<f64> = gamma.iter().zip(&dy[row.clone()]).map(|(g, d)| g * d).collect();
        let shift = g.iter().sum::<f64>() / width;
        let tilt = inner(&g, &x_hat) / width;
        let g_size = g.iter().map(|g| g.abs()).sum::<f64>() / width;
        let tilt_size = g.iter().zip(&x_hat).map(|(g, x)| (g * x).abs()).sum::<f64>() / width;
        for (j, i) in row.enumerate() {
            y.add_sized(
                i,
                x_hat[j] * gamma[j] + beta[j],
                (x_hat[j].abs() + error) * gamma[j].abs() + beta[j].abs(),
            );
            let slope = inverse * (g[j] - shift - x_hat[j] * tilt);
            let size = inverse * (g[j].abs() + g_size + x_hat[j].abs() * tilt_size) * (1.0 + error);
            dz.add_sized(i, slope, size);
            dx.add_sized(i, slope * gate * mask[i], size * gate * mask[i]);
            d_bias.add_sized(j, slope * gate * mask[i], size * gate * mask[i]);
            d_gamma.add_sized(j, dy[i] * x_hat[j], dy[i].abs() * (x_hat[j].abs() + error));
            d_beta.add(j, dy[i]);
        }
    }
    [y, dz, dx, d_gamma, d_beta, d_bias]
}

/// The same of the kernel, then the ungated output, then dz and dx of a pass that trains no weights.
fn run(case: &Case) -> [Vec<f32>; 8] {
    let (n, h) = (case.n, case.h);
    let [x, bias, residual, gamma, beta, dy] = case.numbers();
    let sublayer = Sublayer {
        bias: case.bias.then_some(&bias[..]),
        dropout: case.dropout(),
        gate: case.gate,
        residual: case.residual.then_some(&residual[..]),
    };
    let norm = Norm { gamma: &gamma, beta: &beta, epsilon: EPSILON };
    let nothing = || vec![f32::NAN; n * h];
    let (mut x_hat, mut y, mut inverse, mut output) = (x, nothing(), vec![f32::NAN; n], nothing());
    layer_norm::forward(&mut x_hat, &sublayer, &norm, &mut y, &mut inverse, Some(&mut output));
    let (mut dz, mut dx) = (dy.clone(), nothing());
    let [mut d_gamma, mut d_beta] = [0; 2].map(|_| vec![0.0; h]);
    let to = Gradients { gamma: &mut d_gamma, beta: &mut d_beta };
    layer_norm::backward(&mut dz, &x_hat, &inverse, &gamma, &sublayer, &mut dx, Some(to));
    let (mut dz_alone, mut dx_alone) = (dy, nothing());
    layer_norm::backward(&mut dz_alone, &x_hat, &inverse, &gamma, &sublayer, &mut dx_alone, None);
    [y, dz, dx, d_gamma, d_beta, output, dz_alone, dx_alone]
}

fn inputs(case: &Case) -> (Inputs, Vec<f64>) {
    let [x, mut bias, mut residual, gamma, beta, dy] = case.numbers().map(|x| wide(&x));
    if !case.bias {
        bias.fill(0.0);
    }
    if !case.residual {
        residual.fill(0.0);
    }
    ([x, bias, residual, gamma, beta], dy)
}

fn check(case: &Case) {
    let [y, dz, dx, d_gamma, d_beta, output, dz_alone, dx_alone] = on_threads(|| run(case));
    let (inputs, dy) = inputs(case);
    let names = ["y", "dz", "dx", "dγ", "dβ"];
    let all = exact(case, &inputs, &dy).into_iter().zip([&y, &dz, &dx, &d_gamma, &d_beta]).zip(names);
    all.for_each(|((exact, found), name)| exact.assert_near(found, TOLERANCE, name));
    let ([x, bias, _, _, beta, _], mask) = (case.numbers(), case.mask());
    for (i, out) in output.iter().enumerate() {
        let bias = if case.bias { bias[i % case.h] } else { 0.0 };
        assert_eq!(*out, (x[i] + bias) * mask[i], "the sublayer's output at {i}");
    }
    assert!(dz_alone == dz && dx_alone == dx, "the weights' gradients change the input's");
    if case.h == 1 {
        // One number is its own mean.
        assert!(y.iter().all(|y| *y == beta[0]) && dz.iter().all(|d| *d == 0.0));
    }
}

const CASE: Case = Case { n: 511, h: 17, bias: true, residual: true, gate: 1.0, rate: 0.1, seed: 3 };

#[test]
fn layer_norm_agrees_with_f64_in_the_corners() {
    for (n, h) in [(1, 1), (511, 1), (1, 130), (511, 5), (17, 100), (2, 1040), (33, 2)] {
        check(&Case { n, h, ..CASE });
    }
    // A removed FFN, and the embeddings'.
    check(&Case { n: 16, bias: false, gate: 0.0, rate: 0.0, ..CASE });
    check(&Case { n: 16, bias: false, residual: false, rate: 0.0, ..CASE });
}

#[test]
fn layer_norm_agrees_with_f64_over_drawn_shapes() {
    let gate = prop::sample::select(vec![1.0, 0.7, 0.0]);
    let shapes = (rows(), width(), any::<bool>(), any::<bool>(), gate, rate(), any::<u64>());
    let shapes = shapes.prop_map(|(n, h, bias, residual, gate, rate, seed)| Case {
        n,
        h,
        bias,
        residual,
        gate,
        rate,
        seed,
    });
    holds(20, shapes, |case| check(&case));
}

#[test]
fn the_reference_has_the_gradients_that_finite_differences_give() {
    let case = Case { n: 4, h: 6, gate: 0.7, rate: 0.3, ..CASE };
    let (inputs, dy) = inputs(&case);
    let [_, dz, dx, d_gamma, d_beta, d_bias] = exact(&case, &inputs, &dy);
    for (i, gradient) in [dx, d_bias, dz, d_gamma, d_beta].iter().enumerate() {
        let direction = wide(&numbers(gradient.value.len(), 4, i as u32));
        let along = |h: f64| {
            let mut inputs = inputs.clone();
            inputs[i] = moved(&inputs[i], &direction, h);
            inner(&exact(&case, &inputs, &dy)[0].value, &dy)
        };
        let (found, expected) = (slope(along), inner(&gradient.value, &direction));
        assert!((found - expected).abs() < 1e-7, "{i}: {found} {expected}");
    }
}
