//! What units are scored by. A criterion is a file of its own and one or more variants of [`Estimator`].

mod accumulate;
mod activation;
mod flow;
mod gate_gradient;
mod importance;
mod measure;
mod normalise;
mod rank;
mod synflow;
mod weight;

pub use accumulate::{AbsoluteOf, Accumulator};
pub use flow::{Flow, Matrix};
pub use importance::Importance;
pub use measure::{Criterion, Measurement, Raw};
pub use normalise::{Norm, PrunedUnits, RawImportance, normalise, scale};
pub use rank::{kendall, ranks, spearman};

use crate::choice::choices;
use activation::ActivationNorm;
use gate_gradient::GateGradient;
use measure::Scaled;
use synflow::SynFlow;
use weight::WeightSize;

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
        /// Σ over batches of the running sum of the batches' mean Σ over tokens of |g|, so that batch t of T counts T - t + 1
        /// times: what the code of Liang et al. computes, since it never zeroes the gates' gradients
        TokenCumulative = "token-cumulative",
        /// Σ over examples of g²: the empirical Fisher information of the gates (Kwon et al. 2022)
        Fisher = "fisher",
        /// the L2 norm of the unit's own weights: no data
        WeightL2 = "weight-l2",
        /// the mean absolute value of the unit's own weights: no data (Li et al. 2017)
        WeightMean = "weight-mean",
        /// the mean over tokens of the L2 norm of the unit's output: no labels
        Activation = "activation",
        /// the synaptic flow through the unit's weights, sublayers in a chain: no data (Tanaka et al. 2020)
        SynFlow = "synflow",
        /// the same with the sublayers' residual connections
        SynFlowResidual = "synflow-residual",
    }
}

/// How criteria score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriterionRules {
    pub norm: Norm,
    pub pruned_units: PrunedUnits,
    /// Examples of a batch, for the criteria that know batches.
    pub batch_size: usize,
    /// Whether a search ranks the units of one mask by what was measured at another: then pruned units are measured too.
    pub stale: bool,
}

impl Estimator {
    /// Scores that can be compared over layers.
    pub fn criterion(self, rules: CriterionRules) -> Box<dyn Criterion> {
        let CriterionRules { norm, pruned_units, .. } = rules;
        Box::new(Scaled { raw: self.raw(rules), norm, pruned_units })
    }

    /// Scores as they are measured.
    pub fn raw(self, rules: CriterionRules) -> Box<dyn Raw> {
        let CriterionRules { pruned_units, batch_size, stale, .. } = rules;
        let every_unit = stale || pruned_units == PrunedUnits::Included;
        match self.source(every_unit) {
            Source::Gates(rule) => Box::new(GateGradient { rule, batch_size, every_unit }),
            Source::Else(raw) => raw,
        }
    }

    /// What it sums of gate gradients, if it is made of them.
    pub fn gradient(self) -> Option<AbsoluteOf> {
        match self.source(false) {
            Source::Gates(rule) => Some(rule),
            Source::Else(_) => None,
        }
    }

    fn source(self, every_unit: bool) -> Source {
        let other = |raw: Box<dyn Raw>| Source::Else(raw);
        match self {
            Self::Token => Source::Gates(AbsoluteOf::Tokens),
            Self::Example => Source::Gates(AbsoluteOf::Examples),
            Self::Batch => Source::Gates(AbsoluteOf::BatchMeans),
            Self::Cumulative => Source::Gates(AbsoluteOf::RunningSums),
            Self::TokenCumulative => Source::Gates(AbsoluteOf::RunningTokens),
            Self::Fisher => Source::Gates(AbsoluteOf::Squares),
            Self::WeightL2 => other(Box::new(WeightSize::L2)),
            Self::WeightMean => other(Box::new(WeightSize::Mean)),
            Self::Activation => other(Box::new(ActivationNorm { every_unit })),
            Self::SynFlow => other(Box::new(SynFlow { residual: false })),
            Self::SynFlowResidual => other(Box::new(SynFlow { residual: true })),
        }
    }
}

/// What a criterion's scores are made of. Those of gate gradients share a pass where several are asked for.
enum Source {
    Gates(AbsoluteOf),
    Else(Box<dyn Raw>),
}
