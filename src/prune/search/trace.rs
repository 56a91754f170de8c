//! What a search is, and what it reports.

use crate::{
    error::{Error, Result},
    prune::{Criterion, Importance, Mask, Probe},
};
use serde::{Deserialize, Serialize};

/// Finds a ticket: prunes the least important units step by step while the score holds.
pub trait Search {
    /// Searches the ticket of the probe's model. `on_pass` is called after each pass, with the mask that was scored.
    ///
    /// # Errors
    /// `Usage` for a share outside 0..=1; `Internal` for a score or an importance that is not a finite number; whatever the
    /// probe returns.
    fn run(
        &self,
        probe: &mut dyn Probe,
        criterion: &mut dyn Criterion,
        on_pass: &mut dyn FnMut(&Pass),
    ) -> Result<Trace>;
}

/// How a search proceeds; the default is the published rule without its known flaw.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchRules {
    /// A step is accepted while score ≥ `threshold` · full score; in 0..=1.
    pub threshold: f64,
    /// Share of **all** heads pruned per step, rounded down, at least one head; in 0..=1.
    pub head_step: f64,
    /// Whether the first step of the second and third phase uses the importances measured at the mask that was
    /// just rejected (as published) instead of those of the mask it starts from. The units to choose among are
    /// then pruned ones where it was measured, and have to be measured all the same.
    pub stale: bool,
}

impl Default for SearchRules {
    fn default() -> Self {
        Self { threshold: 0.9, head_step: 0.1, stale: false }
    }
}

impl SearchRules {
    /// Heads of a full step: max(1, ⌊total · `head_step`⌋).
    pub fn heads_per_step(&self, heads_total: usize) -> usize {
        ((heads_total as f64 * self.head_step) as usize).max(1)
    }

    pub(super) fn validate(&self) -> Result<()> {
        for (key, value) in [("threshold", self.threshold), ("head_step", self.head_step)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::usage(format!(
                    "the search's {key} is {value}. Give a share between 0 and 1."
                )));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Joint,
    Heads,
    Ffns,
    Weights,
}

impl Phase {
    /// As it is written in a ticket.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::Heads => "heads",
            Self::Ffns => "ffns",
            Self::Weights => "weights",
        }
    }
}

/// A step of a search, accepted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub phase: Phase,
    pub accepted: bool,
    /// The score with these units pruned.
    pub score: f64,
    /// [layer, head], the least important first.
    pub pruned_heads: Vec<[usize; 2]>,
    /// Layers, the least important first.
    pub pruned_ffns: Vec<usize>,
    /// Single weights that were pruned, the smallest of those that were left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pruned_weights: usize,
    /// What decided this step; nothing where single weights are pruned by their magnitude.
    pub importance: Importance,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Why a search does not prune at all.
pub(super) fn no_threshold(full_score: f64) -> String {
    format!(
        "the full model scores {full_score}: a share of a score that is not positive is no threshold, so nothing was pruned"
    )
}

/// A pass over the scoring data.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// Counted from 1.
    pub number: usize,
    pub mask: &'a Mask,
    pub score: f64,
    /// What the score had to reach.
    pub threshold: f64,
    /// None in the first pass, which scores all units.
    pub step: Option<&'a Step>,
}

/// What a search found, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The last accepted mask.
    pub mask: Mask,
    pub full_score: f64,
    /// The score under `mask`.
    pub score: f64,
    /// What the same rule finds when it prunes the most important first, where it says so: as large as `mask`.
    pub opposite: Option<Mask>,
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// Nothing was left that the search may prune, or there were as many steps as are allowed: the threshold never stopped
    /// it.
    pub exhausted: bool,
    /// Passes over the scoring data.
    pub passes: usize,
    /// Why the search did not prune at all, if that is so.
    pub note: Option<String>,
}
