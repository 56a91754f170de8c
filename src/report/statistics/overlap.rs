//! How much two masks have in common, beside what random masks of their sizes have.

use super::mean;
use serde::Serialize;
use statrs::distribution::{Discrete, Hypergeometric};

fn count(mask: &[bool]) -> usize {
    mask.iter().filter(|kept| **kept).count()
}

/// Jaccard's index: units that both keep, of those that either keeps; 1 where neither keeps any.
pub fn jaccard(a: &[bool], b: &[bool]) -> f64 {
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    match count(a) + count(b) - both {
        0 => 1.0,
        either => both as f64 / either as f64,
    }
}

/// The mean of Jaccard's index over random masks that keep `a` and `b` of `units`: their intersection is hypergeometric.
pub fn expected_jaccard(units: usize, a: usize, b: usize) -> f64 {
    if a + b == 0 {
        return 1.0;
    }
    let Ok(both) = Hypergeometric::new(units as u64, a as u64, b as u64) else { return f64::NAN };
    let possible = (a + b).saturating_sub(units)..=a.min(b);
    possible.map(|k| both.pmf(k as u64) * k as f64 / (a + b - k) as f64).sum()
}

/// Jaccard's index over all pairs of masks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlap {
    pub mean: f64,
    /// Of random masks of the same sizes.
    pub expected: f64,
}

impl Overlap {
    /// None of fewer than two masks.
    pub fn of(masks: &[Vec<bool>]) -> Option<Self> {
        let pairs = || {
            let first = masks.iter().enumerate();
            first.flat_map(|(n, a)| masks[..n].iter().map(move |b| (a.as_slice(), b.as_slice())))
        };
        let found: Vec<f64> = pairs().map(|(a, b)| jaccard(a, b)).collect();
        let expected: Vec<f64> =
            pairs().map(|(a, b)| expected_jaccard(a.len(), count(a), count(b))).collect();
        (!found.is_empty()).then(|| Self { mean: mean(&found), expected: mean(&expected) })
    }
}
