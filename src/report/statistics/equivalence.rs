//! Equivalence within a margin.

use super::{deviation, mean, paired::student};
use statrs::distribution::ContinuousCDF;

/// Two one-sided t-tests (Schuirmann 1987): the larger of their p-values. Below 0.05 the mean difference is shown to be
/// smaller than `margin`, either way. None as for [`paired_t`](super::paired_t).
pub fn equivalent(differences: &[f64], margin: f64) -> Option<f64> {
    let n = differences.len();
    let error = deviation(differences).filter(|s| *s > 0.0)? / (n as f64).sqrt();
    let (mean, student) = (mean(differences), student(n)?);
    Some(student.sf((mean + margin) / error).max(student.cdf((mean - margin) / error)))
}
