//! The paired bootstrap over examples (Koehn 2004; Berg-Kirkpatrick, Burkett and Klein 2012): for scores that are no mean
//! over examples, such as Matthews' correlation, F1 and rank correlations.

use super::{Interval, mean, quantile};
use crate::ops::rng::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// What resampled examples say of the difference between two models' scores, averaged over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ExampleTest {
    pub difference: f64,
    pub interval: Interval,
    /// Two-sided: how rarely the resampled difference, moved to a mean of the null hypothesis, is as large as the one found.
    pub p: f64,
}

/// Draws `resamples` sets of `examples` examples, with replacement, and takes the mean over pairs of
/// `score(first, examples) − score(second, examples)`. The same examples count for all models, so that what is tested is
/// whether these trained models differ on other examples of the same kind. `seed` draws them.
pub fn paired_examples<M: Sync>(
    pairs: &[(M, M)],
    examples: usize,
    resamples: u32,
    seed: u64,
    score: impl Fn(&M, &[u32]) -> f64 + Sync,
) -> Option<ExampleTest> {
    if pairs.is_empty() || examples == 0 {
        return None;
    }
    let on = |chosen: &[u32]| {
        mean(&pairs.iter().map(|(a, b)| score(a, chosen) - score(b, chosen)).collect::<Vec<_>>())
    };
    let difference = on(&(0..examples as u32).collect::<Vec<_>>());
    let resampled = (0..resamples).into_par_iter().map(|nth| {
        let mut stream = Stream::with(seed, Purpose::Selection, nth, 2);
        on(&(0..examples).map(|_| stream.below(examples as u32)).collect::<Vec<_>>())
    });
    let mut values: Vec<f64> = resampled.collect();
    let beyond = values.iter().filter(|value| (**value - difference).abs() >= difference.abs()).count();
    values.sort_by(f64::total_cmp);
    let interval = Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) };
    // With the sample itself: never 0.
    Some(ExampleTest { difference, interval, p: (beyond as f64 + 1.0) / (f64::from(resamples) + 1.0) })
}
