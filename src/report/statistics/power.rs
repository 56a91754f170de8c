//! What difference so many seeds can show.

use super::paired::student;
use statrs::{
    distribution::{ContinuousCDF, Normal},
    function::gamma::ln_gamma,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The probability that Student's t with `freedom` degrees of freedom and this noncentrality is at most `t`: the mean of
/// Φ(t·s − δ) over s, the root of a χ² variate per degree of freedom (Johnson, Kotz and Balakrishnan 1995, chapter 31).
fn noncentral_t(t: f64, freedom: f64, noncentrality: f64) -> f64 {
    const STEPS: usize = 600;
    let normal = Normal::standard();
    let constant = 2f64.ln() + freedom / 2.0 * (freedom / 2.0).ln() - ln_gamma(freedom / 2.0);
    let density = |s: f64| (constant + (freedom - 1.0) * s.ln() - freedom * s * s / 2.0).exp();
    // Beyond, the density is nothing: its deviation is below 1/√(2·freedom).
    let end = 1.0 + 12.0 / (2.0 * freedom).sqrt();
    let step = end / STEPS as f64;
    let at = |n: usize| match (n, step * n as f64) {
        (0, _) if freedom > 1.0 => 0.0,
        (0, _) => constant.exp() * normal.cdf(-noncentrality),
        (_, s) => density(s) * normal.cdf(t * s - noncentrality),
    };
    // Simpson's rule.
    let weight = |n: usize| match n {
        0 | STEPS => 1.0,
        n if n % 2 == 1 => 4.0,
        _ => 2.0,
    };
    (0..=STEPS).map(|n| weight(n) * at(n)).sum::<f64>() * step / 3.0
}

/// The difference, in standard deviations of the differences, that a two-sided paired t-test of `n` pairs at 5 % finds
/// with this probability. None of fewer than two pairs. A report asks for few `n` very often: answers are remembered.
pub fn detectable_difference(n: usize, power: f64) -> Option<f64> {
    static FOUND: Mutex<BTreeMap<(usize, u64), Option<f64>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    *found.entry((n, power.to_bits())).or_insert_with(|| solve(n, power))
}

fn solve(n: usize, power: f64) -> Option<f64> {
    let critical = student(n).filter(|_| n > 1)?.inverse_cdf(0.975);
    let (freedom, root) = (n as f64 - 1.0, (n as f64).sqrt());
    let found =
        |d: f64| 1.0 - noncentral_t(critical, freedom, d * root) + noncentral_t(-critical, freedom, d * root);
    let (mut low, mut high) = (0.0, 1.0);
    while found(high) < power && high < 1e3 {
        high *= 2.0;
    }
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if found(middle) < power { low = middle } else { high = middle }
    }
    Some(high)
}
