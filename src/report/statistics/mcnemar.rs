//! McNemar's test (1947): two models' right and wrong answers to the same examples.

use serde::Serialize;
use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// The examples that one model alone answers right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct McNemar {
    pub only_first: u64,
    pub only_second: u64,
}

impl McNemar {
    pub fn of(
        first_right: impl IntoIterator<Item = bool>,
        second_right: impl IntoIterator<Item = bool>,
    ) -> Self {
        let mut counts = Self { only_first: 0, only_second: 0 };
        for (first, second) in first_right.into_iter().zip(second_right) {
            counts.only_first += u64::from(first && !second);
            counts.only_second += u64::from(second && !first);
        }
        counts
    }

    /// Two-sided, by the binomial distribution.
    pub fn exact(self) -> f64 {
        let (n, least) = (self.only_first + self.only_second, self.only_first.min(self.only_second));
        Binomial::new(0.5, n).map_or(1.0, |binomial| (2.0 * binomial.cdf(least)).min(1.0))
    }

    /// (|b − c| − 1)² / (b + c), with the correction for continuity (Edwards 1948), and its p-value.
    pub fn chi_squared(self) -> (f64, f64) {
        let n = (self.only_first + self.only_second) as f64;
        if n == 0.0 {
            return (0.0, 1.0);
        }
        let apart = (self.only_first.abs_diff(self.only_second) as f64 - 1.0).abs();
        let statistic = apart * apart / n;
        (statistic, ChiSquared::new(1.0).map_or(1.0, |chi| chi.sf(statistic)))
    }
}
