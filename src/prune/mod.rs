//! Structured pruning: what can be removed, how it is scored, how a ticket is searched, what it is compared with.
//!
//! The search knows no model: it asks a [`Scorer`] for a score and for raw importances; [`scorer`] is the real one.

pub mod accumulate;
pub mod control;
pub mod importance;
pub mod mask;
pub mod mt19937;
pub mod scorer;
pub mod search;
pub mod select;
pub mod unit;
mod units_of_model;

pub use accumulate::Accumulator;
pub use control::{Mode, RandomRule, control};
pub use importance::{Estimator, Importance, PrunedUnits, RawImportance, normalise};
pub use mask::Mask;
pub use mt19937::Mt19937;
pub use search::{Method, Outcome, Phase, Scorer, SearchConfig, Step, Tried, search};
pub use select::{lowest_ffns, lowest_heads};
pub use unit::{Unit, UnitSizes};
