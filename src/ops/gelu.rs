//! Bias and erf-GELU in one pass: a = h Φ(h), h = x + b (Hendrycks and Gimpel 2016, the exact form BERT uses).

use super::{ROWS_PER_TASK, SUM_PARTS, simd::exp};
use crate::dispatch;
use rayon::prelude::*;

/// (Φ(h), φ(h)): the normal distribution's cumulative and density. Φ through Abramowitz and Stegun 7.1.26, whose
/// absolute error is below 1.5e-7, one unit in the last place of an f32 near 1.
#[inline(always)]
fn normal(h: f32) -> (f32, f32) {
    let e = exp(-0.5 * h * h);
    let t = 1.0 / (h.abs() * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152);
    let p = t.mul_add(p, 1.421_413_8);
    let p = t.mul_add(p, -0.284_496_72);
    let p = t.mul_add(p, 0.254_829_6);
    let tail = 0.5 * p * t * e;
    (if h >= 0.0 { 1.0 - tail } else { tail }, e * 0.398_942_3)
}

dispatch! {
    fn forward_rows(h: &mut [f32], bias: &[f32], a: &mut [f32]) {
        let f = bias.len();
        for (h, a) in h.chunks_exact_mut(f).zip(a.chunks_exact_mut(f)) {
            for ((h, b), a) in h.iter_mut().zip(bias).zip(a) {
                let v = *h + b;
                *h = v;
                *a = v * normal(v).0;
            }
        }
    }
}

dispatch! {
    fn backward_rows(h: &[f32], d: &mut [f32], sum: Option<&mut [f32]>, f: usize) {
        for (h, d) in h.chunks_exact(f).zip(d.chunks_exact_mut(f)) {
            for (h, d) in h.iter().zip(d) {
                let (cumulative, density) = normal(*h);
                *d *= h.mul_add(density, cumulative);
            }
        }
        if let Some(sum) = sum {
            for d in d.chunks_exact(f) {
                for (s, d) in sum.iter_mut().zip(d) {
                    *s += d;
                }
            }
        }
    }
}

/// h (T, F) += bias, a ← gelu(h). `h` is what the backward pass needs.
pub fn forward(h: &mut [f32], bias: &[f32], a: &mut [f32]) {
    let rows = bias.len() * ROWS_PER_TASK;
    h.par_chunks_mut(rows).zip(a.par_chunks_mut(rows)).for_each(|(h, a)| forward_rows(h, bias, a));
}

/// da (T, F) becomes dh in place; db += its column sums when asked for.
pub fn backward(h: &[f32], da: &mut [f32], f: usize, db: Option<&mut [f32]>) {
    let wanted = db.is_some();
    let rows = (h.len() / f).div_ceil(SUM_PARTS) * f;
    let parts: Vec<Vec<f32>> = h
        .par_chunks(rows)
        .zip(da.par_chunks_mut(rows))
        .map(|(h, d)| {
            let mut sum = vec![0.0; if wanted { f } else { 0 }];
            // A few rows at a time, so that the second loop finds them in the cache.
            for (h, d) in h.chunks(4 * f).zip(d.chunks_mut(4 * f)) {
                backward_rows(h, d, wanted.then_some(&mut sum[..]), f);
            }
            sum
        })
        .collect();
    if let Some(db) = db {
        for part in parts {
            db.iter_mut().zip(part).for_each(|(s, v)| *s += v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0.5 (1 + erf(x / √2)) by the series and continued fraction, in f64.
    fn phi(x: f64) -> f64 {
        let z = x.abs() / std::f64::consts::SQRT_2;
        let mut term = z;
        let mut sum = z;
        for n in 1..200 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        let erf = if z < 4.5 { 2.0 / std::f64::consts::PI.sqrt() * sum } else { 1.0 };
        0.5 * (1.0 + erf * x.signum())
    }

    #[test]
    fn forward_and_backward_agree_with_f64_over_odd_widths() {
        for f in [1usize, 3, 16, 17, 100] {
            let n = 37;
            let x: Vec<f32> = (0..n * f).map(|i| ((i * 31 % 997) as f32 / 997.0 - 0.5) * 14.0).collect();
            let bias: Vec<f32> = (0..f).map(|i| i as f32 / f as f32 - 0.3).collect();
            let (mut h, mut a) = (x.clone(), vec![0.0; n * f]);
            forward(&mut h, &bias, &mut a);
            let dy: Vec<f32> = (0..n * f).map(|i| (i % 13) as f32 / 6.0 - 1.0).collect();
            let (mut dh, mut db) = (dy.clone(), vec![0.5; f]);
            backward(&h, &mut dh, f, Some(&mut db));
            let mut sums = vec![0.5f64; f];
            for i in 0..n * f {
                let v = f64::from(x[i] + bias[i % f]);
                assert!((f64::from(a[i]) - v * phi(v)).abs() < 1.5e-6, "gelu({v})");
                let density = (-0.5 * v * v).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let gradient = f64::from(dy[i]) * (phi(v) + v * density);
                assert!((f64::from(dh[i]) - gradient).abs() < 2e-6, "gelu'({v})");
                sums[i % f] += gradient;
            }
            for (a, b) in db.iter().zip(sums) {
                assert!((f64::from(*a) - b).abs() < 1e-4);
            }
        }
    }
}
