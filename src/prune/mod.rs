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

use crate::error::{Error, Result, nearest};

/// Finds `word` among the named choices of a setting; the error lists them and names the nearest.
fn choose<T: Copy>(setting: &str, word: &str, choices: &[(&str, T)]) -> Result<T> {
    let lower = word.to_lowercase();
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == lower) {
        return Ok(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let hint = nearest(word, names.iter().copied())
        .map(|name| format!("Did you mean \"{name}\"? "))
        .unwrap_or_default();
    Err(Error::usage(format!("unknown {setting} \"{word}\". {hint}Known: {}.", names.join(", "))))
}

/// The name of `value` among the named choices of a setting.
fn name_of<T: PartialEq>(value: &T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, choice)| choice == value).map_or("", |(name, _)| name)
}
