//! Almost stochastic order (del Barrio, Cuesta-Albertos and Matrán 2018; Dror, Shlomov and Reichart 2019), as the package
//! deep-significance defines it (Ulmer, Hardmeier and Frellsen 2022).

use super::deviation;
use crate::ops::rng::{Purpose, Stream};
use statrs::distribution::{ContinuousCDF, Normal};

/// The grid of the integrals over quantiles.
const GRID: usize = 200;
const RESAMPLES: usize = 1000;

/// The place of the smallest of `n` ascending values that at least a share `p` of them does not exceed.
fn place(n: usize, p: f64) -> usize {
    ((n as f64 * p).ceil() as usize).saturating_sub(1).min(n - 1)
}

/// The places in two samples at each point of the grid within (0, 1).
fn grid(n: usize, m: usize) -> Vec<(usize, usize)> {
    let point = |at: usize| at as f64 / GRID as f64;
    (1..GRID).map(|at| (place(n, point(at)), place(m, point(at)))).collect()
}

fn ratio(a: &[f64], b: &[f64], grid: &[(usize, usize)]) -> f64 {
    let (mut distance, mut violation) = (0.0, 0.0);
    for (nth, (i, j)) in grid.iter().enumerate() {
        let apart = b[*j] - a[*i];
        distance += apart * apart;
        // The package leaves the first point out of this integral.
        violation += if nth > 0 { apart.max(0.0).powi(2) } else { 0.0 };
    }
    if distance == 0.0 { 0.5 } else { violation / distance }
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// How far `a` is from dominating `b` stochastically, of 1: the part of their squared Wasserstein distance where b's
/// quantiles are above a's. Both have values.
pub fn violation_ratio(a: &[f64], b: &[f64]) -> f64 {
    ratio(&ascending(a), &ascending(b), &grid(a.len(), b.len()))
}

/// ε_min: the upper end of a 95 % interval of the violation ratio. Below 0.5 `a` is almost stochastically dominant over `b`;
/// 0.2 is the usual threshold. None of fewer than two values.
pub fn almost_stochastic_order(a: &[f64], b: &[f64], seed: u64) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let [a, b] = [a, b].map(ascending);
    let grid = grid(a.len(), b.len());
    let found = ratio(&a, &b, &grid);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let scale = (n * m / (n + m)).sqrt();
    let mut stream = Stream::new(seed, Purpose::Selection, 1);
    let mut draw = |from: &[f64]| {
        let drawn: Vec<f64> = from.iter().map(|_| from[place(from.len(), stream.uniform())]).collect();
        ascending(&drawn)
    };
    let apart: Vec<f64> =
        (0..RESAMPLES).map(|_| scale * (ratio(&draw(&a), &draw(&b), &grid) - found)).collect();
    // deep-significance divides by n.
    let sigma = deviation(&apart)? * ((RESAMPLES as f64 - 1.0) / RESAMPLES as f64).sqrt();
    Some((found - sigma / scale * Normal::standard().inverse_cdf(0.05)).clamp(0.0, 1.0))
}
