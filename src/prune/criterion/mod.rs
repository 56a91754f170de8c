//! What units are scored by. A criterion is a file of its own and one or more variants of [`Estimator`].

mod accumulate;
mod gate_gradient;
mod importance;
mod measure;
mod normalise;

pub use accumulate::{AbsoluteOf, Accumulator};
pub use importance::Importance;
pub use measure::{Criterion, Measurement};
pub use normalise::{PrunedUnits, RawImportance, normalise};

use crate::choice::choices;
use gate_gradient::GateGradient;

choices! {
    /// What units are scored by. Gate gradients `g = ∂L/∂ξ` differ in where their absolute value is taken while they are
    /// summed over the scoring data.
    pub enum Estimator ("estimator") {
        /// Σ over tokens of |g| (Michel et al. 2019 and Liang et al. 2021, in code)
        Token = "token",
        /// Σ over examples of |g| (Prasanna et al. 2020, the formula of I_h: the expectation over examples)
        Example = "example",
        /// Σ over batches of |mean g of the batch|
        Batch = "batch",
        /// Σ over batches of |running sum of the batch means|: what the code of Prasanna et al. computes, since it
        /// never zeroes the gates' gradients
        Cumulative = "cumulative",
    }
}

/// How criteria score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriterionRules {
    pub pruned_units: PrunedUnits,
    /// Examples of a batch, for the criteria that know batches.
    pub batch_size: usize,
    /// Whether a search ranks the units of one mask by what was measured at another: then pruned units are measured too.
    pub stale: bool,
}

impl Estimator {
    pub fn criterion(self, rules: CriterionRules) -> Box<dyn Criterion> {
        let CriterionRules { pruned_units, batch_size, stale } = rules;
        let every_unit = stale || pruned_units == PrunedUnits::Included;
        let gates = |rule| Box::new(GateGradient { rule, batch_size, pruned_units, every_unit });
        match self {
            Self::Token => gates(AbsoluteOf::Tokens),
            Self::Example => gates(AbsoluteOf::Examples),
            Self::Batch => gates(AbsoluteOf::BatchMeans),
            Self::Cumulative => gates(AbsoluteOf::RunningSums),
        }
    }
}
