//! Pruning: what can be removed, how it is scored, how a ticket is searched, what it is compared with.
//!
//! Upwards: `mask` → `sparsity`, `weights` (by magnitude) → `rules` → `gradual` (when) → `probe` (what can be measured on a model) → `criterion` → `search`; `control` knows masks alone. Each
//! criterion, search and control is a file of its own and a variant of the choice in its folder's `mod.rs`.

pub mod control;
mod criterion;
mod gradual;
mod mask;
mod model_probe;
mod mt19937;
mod probe;
mod rules;
mod search;
pub mod sparsity;
mod weights;

pub use control::{Control, ControlRules, Mode, RandomRule, Ticket, WeightDraw};
pub use criterion::{
    AbsoluteOf, Accumulator, Criterion, CriterionRules, Estimator, Flow, Importance, Matrix, Measurement,
    Norm, PrunedUnits, Raw, RawImportance, kendall, normalise, ranks, scale, spearman,
};
pub use gradual::Cubic;
pub use mask::{Bits, Count, Kind, Mask, MaskText, Overlap, PACKED, Shares, Site};
pub use model_probe::ModelProbe;
pub use mt19937::Mt19937;
pub use probe::{GateSums, Probe};
pub use rules::{HeadRule, PruneRules, Rates, Rounds};
pub use search::{Method, OneShot, Pass, Phase, Search, SearchRules, Step, Trace, lowest, one_shot};
pub use sparsity::{Sparsity, Whole};
pub use weights::{Scope, WeightSet, prune_weights};
