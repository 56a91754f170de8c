//! The end of a BERT block in one pass: z = residual + gate · dropout(x + bias), y = LayerNorm(z) γ + β
//! (Ba et al. 2016; BERT normalises after the residual).

use super::{ROWS_PER_TASK, SUM_PARTS, dropout::Dropout, simd::sum};
use crate::dispatch;
use rayon::prelude::*;

/// What the block's end adds to the normalised input. Row `r`, column `j` of (n, H) is dropout's element `r H + j`.
#[derive(Clone, Copy)]
pub struct Sublayer<'a> {
    pub bias: Option<&'a [f32]>,
    pub dropout: Option<Dropout>,
    /// 0 removes the sublayer's output, 1 keeps it.
    pub gate: f32,
    pub residual: Option<&'a [f32]>,
}

/// Scale, shift and the constant under the root.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub epsilon: f32,
}

dispatch! {
    /// out = (x + bias) · mask, in place: the sublayer's output before its gate.
    fn sublayer_row(x: &mut [f32], bias: Option<&[f32]>, mask: Option<&[f32]>) {
        if let Some(bias) = bias {
            for (v, b) in x.iter_mut().zip(bias) { *v += b; }
        }
        if let Some(mask) = mask {
            for (v, m) in x.iter_mut().zip(mask) { *v *= m; }
        }
    }
}

dispatch! {
    /// z = residual + gate · x becomes x̂ in place; y = x̂ γ + β; returns 1 / σ.
    fn norm_row(x: &mut [f32], residual: Option<&[f32]>, gate: f32, gamma: &[f32], beta: &[f32], epsilon: f32, y: &mut [f32]) -> f32 {
        let width = x.len() as f32;
        match residual {
            Some(residual) => for (v, r) in x.iter_mut().zip(residual) { *v = v.mul_add(gate, *r); },
            None => for v in x.iter_mut() { *v *= gate; },
        }
        let mean = sum(x) / width;
        for (v, s) in x.iter_mut().zip(y.iter_mut()) {
            *v -= mean;
            *s = *v * *v;
        }
        let inverse = 1.0 / (sum(y) / width + epsilon).sqrt();
        for (((v, y), g), b) in x.iter_mut().zip(y).zip(gamma).zip(beta) {
            *v *= inverse;
            *y = v.mul_add(*g, *b);
        }
        inverse
    }
}

/// x (n, H) becomes x̂, y and 1/σ are written; `output` receives the sublayer's ungated output when asked for.
pub fn forward(
    x: &mut [f32],
    sublayer: &Sublayer,
    norm: &Norm,
    y: &mut [f32],
    inverse_sigma: &mut [f32],
    output: Option<&mut [f32]>,
) {
    let h = norm.gamma.len();
    let task = ROWS_PER_TASK * h;
    if let Some(output) = output {
        output.par_chunks_mut(task).zip(x.par_chunks(task)).enumerate().for_each(|(i, (out, x))| {
            out.copy_from_slice(x);
            finish_sublayer(out, sublayer, i * task, h);
        });
    }
    x.par_chunks_mut(task)
        .zip(y.par_chunks_mut(task))
        .zip(inverse_sigma.par_chunks_mut(ROWS_PER_TASK))
        .enumerate()
        .for_each(|(i, ((x, y), inverse))| {
            finish_sublayer(x, sublayer, i * task, h);
            let rows = x.chunks_mut(h).zip(y.chunks_mut(h)).zip(inverse).enumerate();
            for (r, ((x, y), inverse)) in rows {
                let first = i * task + r * h;
                let residual = sublayer.residual.map(|v| &v[first..first + h]);
                *inverse = norm_row(x, residual, sublayer.gate, norm.gamma, norm.beta, norm.epsilon, y);
            }
        });
}

dispatch! {
    /// y = x̂ γ + β
    fn scale_row(x_hat: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32]) {
        for (((v, y), g), b) in x_hat.iter().zip(y).zip(gamma).zip(beta) { *y = v.mul_add(*g, *b); }
    }
}

/// What [`forward`] gave as y (n, H), from the x̂ that it left, bit for bit.
pub fn output(x_hat: &[f32], norm: &Norm, y: &mut [f32]) {
    let h = norm.gamma.len();
    let task = ROWS_PER_TASK * h;
    x_hat.par_chunks(task).zip(y.par_chunks_mut(task)).for_each(|(x_hat, y)| {
        x_hat.chunks(h).zip(y.chunks_mut(h)).for_each(|(x, y)| scale_row(x, norm.gamma, norm.beta, y));
    });
}

fn finish_sublayer(x: &mut [f32], sublayer: &Sublayer, first: usize, h: usize) {
    let mut scratch = [0f32; 1024];
    for (r, row) in x.chunks_mut(h).enumerate() {
        match sublayer.dropout {
            None => sublayer_row(row, sublayer.bias, None),
            Some(dropout) => {
                for (c, part) in row.chunks_mut(scratch.len()).enumerate() {
                    let at = c * 1024;
                    let mask = &mut scratch[..part.len()];
                    dropout.multipliers(first + r * h + at, mask);
                    sublayer_row(part, sublayer.bias.map(|b| &b[at..at + mask.len()]), Some(mask));
                }
            }
        }
    }
}

/// Where the sums over rows go.
pub struct Gradients<'a> {
    pub gamma: &'a mut [f32],
    pub beta: &'a mut [f32],
}

dispatch! {
    /// dy becomes dz in place; dγ and dβ receive this row's share.
    fn backward_row(dy: &mut [f32], x_hat: &[f32], inverse: f32, gamma: &[f32], scratch: &mut [f32], sums: Option<(&mut [f32], &mut [f32])>) {
        let width = dy.len() as f32;
        if let Some((d_gamma, d_beta)) = sums {
            for (((dg, db), d), x) in d_gamma.iter_mut().zip(d_beta).zip(dy.iter()).zip(x_hat) {
                *dg = d.mul_add(*x, *dg);
                *db += d;
            }
        }
        for (((d, x), g), s) in dy.iter_mut().zip(x_hat).zip(gamma).zip(scratch.iter_mut()) {
            *d *= g;
            *s = *d * x;
        }
        let mean = sum(dy) / width;
        let slope = sum(scratch) / width;
        for (d, x) in dy.iter_mut().zip(x_hat) {
            *d = inverse * ((*d - mean) - x * slope);
        }
    }
}

dispatch! {
    /// dx = dz · gate · mask
    fn backward_sublayer_row(dz: &[f32], gate: f32, mask: Option<&[f32]>, dx: &mut [f32]) {
        match mask {
            Some(mask) => for ((x, z), m) in dx.iter_mut().zip(dz).zip(mask) { *x = z * (gate * m); },
            None => for (x, z) in dx.iter_mut().zip(dz) { *x = z * gate; },
        }
    }
}

/// dy (n, H) becomes dz, the residual's gradient, in place; `dx` receives the gradient of the sublayer's product, whose
/// column sums are that of its bias. Sums over rows are added to `gradients` when weights are trained.
pub fn backward(
    dy: &mut [f32],
    x_hat: &[f32],
    inverse_sigma: &[f32],
    gamma: &[f32],
    sublayer: &Sublayer,
    dx: &mut [f32],
    gradients: Option<Gradients>,
) {
    let h = gamma.len();
    let rows = inverse_sigma.len().div_ceil(SUM_PARTS).max(1);
    let wanted = gradients.is_some();
    let parts: Vec<[Vec<f32>; 2]> = dy
        .par_chunks_mut(rows * h)
        .zip(x_hat.par_chunks(rows * h))
        .zip(dx.par_chunks_mut(rows * h))
        .zip(inverse_sigma.par_chunks(rows))
        .enumerate()
        .map(|(i, (((dy, x_hat), dx), inverse))| {
            let sums = || vec![0f32; if wanted { h } else { 0 }];
            let (mut d_gamma, mut d_beta) = (sums(), sums());
            let mut mask = vec![0f32; h];
            let rows_of =
                dy.chunks_mut(h).zip(x_hat.chunks(h)).zip(dx.chunks_mut(h)).zip(inverse).enumerate();
            for (r, (((dy, x_hat), dx), inverse)) in rows_of {
                let sums = wanted.then_some((&mut d_gamma[..], &mut d_beta[..]));
                backward_row(dy, x_hat, *inverse, gamma, dx, sums);
                let mask = sublayer.dropout.map(|dropout| {
                    dropout.multipliers((i * rows + r) * h, &mut mask);
                    &mask[..]
                });
                backward_sublayer_row(dy, sublayer.gate, mask, dx);
            }
            [d_gamma, d_beta]
        })
        .collect();
    if let Some(gradients) = gradients {
        let add = |to: &mut [f32], part: &[f32]| to.iter_mut().zip(part).for_each(|(a, b)| *a += b);
        for [d_gamma, d_beta] in &parts {
            add(gradients.gamma, d_gamma);
            add(gradients.beta, d_beta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dropout::DropoutPlan, rng::Purpose};

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    struct Case {
        h: usize,
        x: Vec<f32>,
        bias: Vec<f32>,
        residual: Vec<f32>,
        gamma: Vec<f32>,
        beta: Vec<f32>,
        mask: Vec<f32>,
        gate: f32,
    }

    /// Σ dy ⊙ y in f64, the scalar whose derivatives the backward pass must give.
    fn objective(c: &Case, dy: &[f32]) -> f64 {
        let mut total = 0.0;
        for r in 0..c.x.len() / c.h {
            let at = |v: &[f32], j: usize| f64::from(v[r * c.h + j]);
            let z: Vec<f64> = (0..c.h)
                .map(|j| {
                    let out = (at(&c.x, j) + f64::from(c.bias[j])) * at(&c.mask, j);
                    at(&c.residual, j) + f64::from(c.gate) * out
                })
                .collect();
            let mean = z.iter().sum::<f64>() / c.h as f64;
            let variance = z.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / c.h as f64;
            for (j, z) in z.iter().enumerate() {
                let x_hat = (z - mean) / (variance + 1e-12).sqrt();
                let y = x_hat * f64::from(c.gamma[j]) + f64::from(c.beta[j]);
                total += y * at(dy, j);
            }
        }
        total
    }

    #[test]
    fn gradients_agree_with_finite_differences_with_dropout_and_gates_over_odd_widths() {
        for (n, h, rate, gate) in
            [(3, 5, 0.0, 1.0), (19, 33, 0.3, 1.0), (2, 1100, 0.5, 0.7), (40, 16, 0.1, 0.0)]
        {
            let plan = DropoutPlan { seed: 5, step: 1, hidden: rate, attention: 0.0, classifier: rate };
            let dropout = plan.hidden(Purpose::FfnOutputDropout, 1);
            let mut mask = vec![1.0; n * h];
            if let Some(d) = dropout {
                d.multipliers(0, &mut mask);
            }
            let gamma: Vec<f32> = numbers(h, 4).iter().map(|v| 1.0 + 0.5 * v).collect();
            let mut c = Case {
                h,
                x: numbers(n * h, 1),
                bias: numbers(h, 2),
                residual: numbers(n * h, 3),
                gamma,
                beta: numbers(h, 5),
                mask,
                gate,
            };
            let dy = numbers(n * h, 6);
            let (mut x_hat, mut y, mut inverse) = (c.x.clone(), vec![0.0; n * h], vec![0.0; n]);
            let residual = c.residual.clone();
            let bias = c.bias.clone();
            let sublayer = Sublayer { bias: Some(&bias), dropout, gate, residual: Some(&residual) };
            let norm = Norm { gamma: &c.gamma, beta: &c.beta, epsilon: 1e-12 };
            let mut output = vec![0.0; n * h];
            forward(&mut x_hat, &sublayer, &norm, &mut y, &mut inverse, Some(&mut output));
            let value: f64 = y.iter().zip(&dy).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((value - objective(&c, &dy)).abs() < 2e-3, "{value} {}", objective(&c, &dy));
            for (i, out) in output.iter().enumerate() {
                assert_eq!(*out, (c.x[i] + c.bias[i % h]) * c.mask[i]);
            }
            let (mut dz, mut dx) = (dy.clone(), vec![0.0; n * h]);
            let (mut dg, mut db) = (vec![0.0; h], vec![0.0; h]);
            let gradients = Gradients { gamma: &mut dg, beta: &mut db };
            backward(&mut dz, &x_hat, &inverse, &c.gamma, &sublayer, &mut dx, Some(gradients));
            let mut check = |pick: fn(&mut Case) -> &mut Vec<f32>, i: usize, gradient: f32, what: &str| {
                let old = pick(&mut c)[i];
                // The step actually taken, after rounding to f32.
                let (up, down) = (old + 1e-3, old - 1e-3);
                pick(&mut c)[i] = up;
                let high = objective(&c, &dy);
                pick(&mut c)[i] = down;
                let low = objective(&c, &dy);
                pick(&mut c)[i] = old;
                let slope = (high - low) / (f64::from(up) - f64::from(down));
                assert!(
                    (slope - f64::from(gradient)).abs() < 2e-3 * slope.abs().max(1.0),
                    "{what}[{i}]: {slope} {gradient}"
                );
            };
            for i in (0..n * h).step_by(1 + n * h / 40) {
                check(|c| &mut c.residual, i, dz[i], "residual");
                check(|c| &mut c.x, i, dx[i], "x");
            }
            for j in (0..h).step_by(1 + h / 20) {
                check(|c| &mut c.gamma, j, dg[j], "gamma");
                check(|c| &mut c.beta, j, db[j], "beta");
                let d_bias = dx.chunks(h).map(|row| row[j]).sum();
                check(|c| &mut c.bias, j, d_bias, "bias");
            }
        }
    }
}
