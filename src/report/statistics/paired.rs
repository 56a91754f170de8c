//! Student's t-test of paired differences.

use super::{deviation, mean};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What n paired differences say of their mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    pub n: usize,
    pub mean: f64,
    pub standard_error: f64,
    pub t: f64,
    /// Two-sided, of no difference.
    pub p: f64,
    /// The 95 % confidence interval of the mean.
    pub interval: [f64; 2],
}

/// Student's t with n − 1 degrees of freedom.
pub(super) fn student(n: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, n as f64 - 1.0).ok()
}

/// None of fewer than two differences, and where all are equal.
pub fn paired_t(differences: &[f64]) -> Option<Paired> {
    let n = differences.len();
    let standard_error = deviation(differences).filter(|s| *s > 0.0)? / (n as f64).sqrt();
    let (mean, student) = (mean(differences), student(n)?);
    let t = mean / standard_error;
    let half = student.inverse_cdf(0.975) * standard_error;
    Some(Paired {
        n,
        mean,
        standard_error,
        t,
        p: (2.0 * student.sf(t.abs())).min(1.0),
        interval: [mean - half, mean + half],
    })
}
