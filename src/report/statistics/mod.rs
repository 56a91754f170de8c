//! Statistics of a few paired runs and of their predictions: what a difference of means is worth.
//!
//! Every function takes plain numbers and says what it computes, with its source. Nothing here knows records or tasks. What
//! is undefined (a single seed, equal values) is `None`.

mod agreement;
mod bootstrap;
mod dominance;
mod effect;
mod equivalence;
mod examples;
mod holm;
mod mcnemar;
mod overlap;
mod paired;
mod power;
mod sample;
mod spread;
mod wilcoxon;

pub use agreement::{CochranQ, cochran_q, fleiss_kappa, krippendorff_alpha};
pub use bootstrap::{Interval, bootstrap, bootstrap_mean};
pub use dominance::{almost_stochastic_order, violation_ratio};
pub use effect::{cohen_d_z, hedges_g_z};
pub use equivalence::equivalent;
pub use examples::{ExampleTest, paired_examples};
pub use holm::holm;
pub use mcnemar::McNemar;
pub use overlap::{Overlap, expected_jaccard, jaccard};
pub use paired::{Paired, paired_t};
pub use power::detectable_difference;
pub use sample::{deviation, differences, mean, quantile};
pub use spread::{BrownForsythe, brown_forsythe};
pub use wilcoxon::wilcoxon;

#[cfg(test)]
mod tests;
