//! Brown and Forsythe's test of equal spreads (1974): an analysis of variance of the distances from the medians.

use super::{mean, quantile};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// Whether samples spread alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BrownForsythe {
    pub f: f64,
    /// Of equal spreads.
    pub p: f64,
}

/// None of fewer than two samples, of one without values, and where no distance varies within its sample.
pub fn brown_forsythe(samples: &[&[f64]]) -> Option<BrownForsythe> {
    let distances = |sample: &&[f64]| {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5);
        sample.iter().map(|value| (value - median).abs()).collect::<Vec<f64>>()
    };
    if samples.len() < 2 || samples.iter().any(|sample| sample.is_empty()) {
        return None;
    }
    let all: Vec<Vec<f64>> = samples.iter().map(distances).collect();
    let (n, k) = (all.iter().map(Vec::len).sum::<usize>() as f64, all.len() as f64);
    let whole = mean(&all.concat());
    let between: f64 = all.iter().map(|own| own.len() as f64 * (mean(own) - whole).powi(2)).sum();
    let within: f64 =
        all.iter().flat_map(|own| own.iter().map(move |value| (value - mean(own)).powi(2))).sum();
    let squares: f64 = all.iter().flatten().map(|value| value.powi(2)).sum();
    // Of two values both are as far from their median, but for rounding.
    if n <= k || within <= 1e-20 * squares {
        return None;
    }
    let f = (n - k) / (k - 1.0) * between / within;
    let p = FisherSnedecor::new(k - 1.0, n - k).ok()?.sf(f);
    Some(BrownForsythe { f, p })
}
