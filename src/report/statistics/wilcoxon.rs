//! Wilcoxon's signed-rank test (1945) of paired differences.

use crate::prune::ranks;
use statrs::distribution::{ContinuousCDF, Normal};

/// Up to so many differences the distribution is exact: with ties that of all 2ⁿ signs.
const EXACT: usize = 50;

/// The two-sided p-value; differences of zero are left out (Wilcoxon's own rule). None where nothing is left.
///
/// With n pairs it is at least 2¹⁻ⁿ: with five seeds never below 0.0625.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    let nonzero: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = nonzero.len();
    if n == 0 {
        return None;
    }
    let ranks = ranks(&nonzero.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let plus: f64 = nonzero.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    let all: f64 = ranks.iter().sum();
    let smaller = plus.min(all - plus);
    if n <= EXACT {
        // Mid-ranks are halves: doubled they are whole.
        let doubled: Vec<usize> = ranks.iter().map(|rank| (2.0 * rank).round() as usize).collect();
        let mut ways = vec![0.0; doubled.iter().sum::<usize>() + 1];
        ways[0] = 1.0;
        for rank in doubled {
            for sum in (rank..ways.len()).rev() {
                ways[sum] += ways[sum - rank];
            }
        }
        let at_most: f64 = ways[..=(2.0 * smaller).round() as usize].iter().sum();
        return Some((2.0 * at_most / 2f64.powi(n as i32)).min(1.0));
    }
    // The variance of the sum of signed ranks is Σ r² / 4, which counts ties.
    let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / 4.0;
    let z = (smaller - all / 2.0) / variance.sqrt();
    Some((2.0 * Normal::standard().cdf(z)).min(1.0))
}
