//! Effect sizes of paired differences.

use super::{deviation, mean};
use statrs::function::gamma::ln_gamma;

/// Cohen's d_z: the mean difference in standard deviations of the differences (Cohen 1988; Lakens 2013, eq. 6).
pub fn cohen_d_z(differences: &[f64]) -> Option<f64> {
    deviation(differences).filter(|s| *s > 0.0).map(|deviation| mean(differences) / deviation)
}

/// Cohen's d_z times Hedges' exact correction for small samples, J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2)) with m = n − 1
/// degrees of freedom (Hedges 1981); none of two pairs, of which it is not defined.
pub fn hedges_g_z(differences: &[f64]) -> Option<f64> {
    let freedom = differences.len() as f64 - 1.0;
    let correction = |m: f64| (ln_gamma(m / 2.0) - ln_gamma((m - 1.0) / 2.0) - 0.5 * (m / 2.0).ln()).exp();
    cohen_d_z(differences).filter(|_| freedom > 1.0).map(|d| d * correction(freedom))
}
