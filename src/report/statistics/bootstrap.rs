//! Percentile intervals of a statistic by resampling runs (Efron 1979).

use super::quantile;
use crate::ops::rng::{Purpose, Stream};
use serde::Serialize;

/// An interval that holds 95 % of the resampled values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Up to so many resamples are enumerated: all nⁿ of six runs.
const ENUMERATED: u64 = 50_000;
const DRAWN: usize = 10_000;

/// The 95 % percentile interval of `statistic`, a function of the indices that a resample of `n` runs draws. All nⁿ
/// resamples are taken where they are few, else 10,000 that `seed` draws. A resample without a value is left out; none of
/// fewer than two runs.
pub fn bootstrap(
    n: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    if n < 2 {
        return None;
    }
    let all = (n as u64).checked_pow(n as u32).filter(|all| *all <= ENUMERATED);
    let mut stream = Stream::new(seed, Purpose::Selection, n as u32);
    let mut chosen = vec![0; n];
    let mut values = Vec::new();
    for nth in 0..all.map_or(DRAWN, |all| all as usize) {
        let mut digits = nth;
        for at in &mut chosen {
            *at = if all.is_some() { digits % n } else { stream.below(n as u32) as usize };
            digits /= n;
        }
        values.extend(statistic(&chosen));
    }
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) })
}

/// Of the mean.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Interval> {
    let n = values.len();
    bootstrap(n, seed, |chosen| Some(chosen.iter().map(|at| values[*at]).sum::<f64>() / n as f64))
}
