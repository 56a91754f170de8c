//! Finds a ticket: prunes the least important units step by step while the score holds.
//!
//! Source: Prasanna et al. 2020, section 3, and their code. Nothing is trained between steps.

use serde::{Deserialize, Serialize};

use super::importance::{Importance, PrunedUnits, RawImportance, normalise};
use super::mask::Mask;
use super::select::{lowest_ffns, lowest_heads};
use super::unit::Unit;
use crate::{
    choice::choices,
    error::{Error, Result},
};

choices! {
    /// Which kinds of units a search prunes.
    pub enum Method ("method") {
        /// three phases: heads and FFNs together, then heads in half steps, then FFNs
        HeadsFfns = "heads+ffns",
        /// heads alone
        Heads = "heads",
        /// FFNs alone
        Ffns = "ffns",
    }
}

/// Evaluates a masked network.
pub trait Scorer {
    /// The deciding metric of the network under this mask, and the raw importances there, from one pass.
    /// A stale search also needs the importances of masked units: see [`SearchConfig::stale`].
    fn score(&mut self, mask: &Mask) -> Result<(f64, RawImportance)>;
}

/// How a search proceeds; the default is the published rule without its two known flaws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SearchConfig {
    pub method: Method,
    /// A step is accepted while score ≥ `threshold` · full score; in 0..=1.
    pub threshold: f64,
    /// Share of **all** heads pruned per step, rounded down, at least one head; in 0..=1.
    pub head_step: f64,
    /// Whether the first step of the second and third phase uses the importances measured at the mask that was
    /// just rejected (as published) instead of those of the mask it starts from. The units to choose among are
    /// then masked ones to the scorer, which must score them all the same.
    pub stale: bool,
    pub pruned_units: PrunedUnits,
    /// Whether every layer keeps a head (as in the published heads-only masks).
    pub keep_last_head: bool,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            method: Method::HeadsFfns,
            threshold: 0.9,
            head_step: 0.1,
            stale: false,
            pruned_units: PrunedUnits::Excluded,
            keep_last_head: false,
        }
    }
}

impl SearchConfig {
    /// Heads of a full step: max(1, ⌊total · `head_step`⌋).
    pub fn heads_per_step(&self, heads_total: usize) -> usize {
        ((heads_total as f64 * self.head_step) as usize).max(1)
    }

    fn validate(&self) -> Result<()> {
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
}

impl Phase {
    /// As it is written in a ticket.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::Heads => "heads",
            Self::Ffns => "ffns",
        }
    }
}

/// One tried step, accepted or not.
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
    /// What decided this step.
    pub importance: Importance,
}

/// A pass of the search, as whoever listens hears of it.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// Counted from 1.
    pub number: usize,
    pub mask: &'a Mask,
    pub score: f64,
    /// What the score had to reach.
    pub threshold: f64,
    /// None in the first pass, which scores all units.
    pub step: Option<&'a Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The last accepted mask.
    pub mask: Mask,
    pub full_score: f64,
    /// The score under `mask`.
    pub score: f64,
    /// All tried steps, in order.
    pub steps: Vec<Step>,
    /// Nothing was left that the method may prune: the threshold never stopped it.
    pub exhausted: bool,
    /// Calls of the scorer.
    pub passes: usize,
    /// Why the search did not prune at all, if that is so.
    pub note: Option<String>,
}

/// Searches a ticket in a network of `layers` × `heads` heads and `layers` FFNs.
///
/// `heads+ffns`: joint steps (the lowest heads of a full step **and** the lowest FFN, or what is left of either)
/// until one is rejected; then, from the last accepted mask, half steps of heads; then single FFNs. `heads`: full
/// steps. `ffns`: single FFNs. `on_pass` hears of each pass after it was scored, with the mask that was tried.
///
/// # Errors
/// `Usage` for a share outside 0..=1; `Internal` for a score or an importance that is not a finite number;
/// whatever the scorer returns.
pub fn search(
    cfg: &SearchConfig,
    layers: usize,
    heads: usize,
    scorer: &mut dyn Scorer,
    on_pass: &mut dyn FnMut(&Tried),
) -> Result<Outcome> {
    cfg.validate()?;
    let mask = Mask::full(layers, heads);
    let (full_score, raw) = score(scorer, &mask, 1)?;
    let threshold = cfg.threshold * full_score;
    on_pass(&Tried { number: 1, mask: &mask, score: full_score, threshold, step: None });
    let mut state = State {
        cfg,
        scorer,
        on_pass,
        mask,
        threshold,
        score: full_score,
        latest: raw.clone(),
        raw,
        steps: vec![],
    };
    let mut note = None;
    if full_score > 0.0 {
        let step = cfg.heads_per_step(layers * heads);
        match cfg.method {
            Method::HeadsFfns => {
                state.run(Phase::Joint, step, 1)?;
                state.run(Phase::Heads, (step / 2).max(1), 0)?;
                state.run(Phase::Ffns, 0, 1)?;
            }
            Method::Heads => state.run(Phase::Heads, step, 0)?,
            Method::Ffns => state.run(Phase::Ffns, 0, 1)?,
        }
    } else {
        note = Some(format!(
            "the full model scores {full_score}: a share of a score that is not positive is no threshold, so \
             nothing was pruned"
        ));
    }
    let exhausted = state.is_exhausted();
    let State { mask, score, steps, .. } = state;
    let passes = 1 + steps.len();
    Ok(Outcome { mask, full_score, score, steps, exhausted, passes, note })
}

struct State<'a> {
    cfg: &'a SearchConfig,
    scorer: &'a mut dyn Scorer,
    on_pass: &'a mut dyn FnMut(&Tried),
    /// The last accepted mask, its score and its importances.
    mask: Mask,
    score: f64,
    raw: RawImportance,
    /// The importances of the last pass, accepted or not.
    latest: RawImportance,
    /// Below it a step is rejected.
    threshold: f64,
    steps: Vec<Step>,
}

impl State<'_> {
    /// Prunes `heads` heads and `ffns` FFNs per step until a step is rejected or there is nothing to take.
    fn run(&mut self, phase: Phase, heads: usize, ffns: usize) -> Result<()> {
        loop {
            let raw = if self.cfg.stale { &self.latest } else { &self.raw };
            let importance = normalise(raw, &self.mask, self.cfg.pruned_units);
            // The other kind need not be scored where it is not pruned.
            let heads = match heads {
                0 => vec![],
                n => lowest_heads(&importance, &self.mask, n, self.cfg.keep_last_head)?,
            };
            let ffns = match ffns {
                0 => vec![],
                n => lowest_ffns(&importance, &self.mask, n)?,
            };
            if heads.is_empty() && ffns.is_empty() {
                return Ok(());
            }
            if !self.step(phase, &heads, ffns, importance)? {
                return Ok(());
            }
        }
    }

    /// Tries one step; whether it was accepted.
    fn step(
        &mut self,
        phase: Phase,
        heads: &[usize],
        pruned_ffns: Vec<usize>,
        importance: Importance,
    ) -> Result<bool> {
        let (number, threshold) = (self.steps.len() + 2, self.threshold);
        let mut tried = self.mask.clone();
        heads.iter().for_each(|index| tried.heads[*index] = false);
        pruned_ffns.iter().for_each(|layer| tried.prune(Unit::Ffn { layer: *layer }));
        let (score, raw) = score(self.scorer, &tried, number)?;
        let per_layer = self.mask.heads_per_layer;
        let step = Step {
            phase,
            accepted: score >= threshold,
            score,
            pruned_heads: heads.iter().map(|index| [index / per_layer, index % per_layer]).collect(),
            pruned_ffns,
            importance,
        };
        (self.on_pass)(&Tried { number, mask: &tried, score, threshold, step: Some(&step) });
        let accepted = step.accepted;
        self.steps.push(step);
        if accepted {
            self.mask = tried;
            self.score = score;
            self.raw = raw.clone();
        }
        self.latest = raw;
        Ok(accepted)
    }

    fn is_exhausted(&self) -> bool {
        let reserved = usize::from(self.cfg.keep_last_head);
        let no_heads = (0..self.mask.layers).all(|layer| self.mask.kept_heads(layer).len() <= reserved);
        let no_ffns = self.mask.ffns_kept() == 0;
        match self.cfg.method {
            Method::HeadsFfns => no_heads && no_ffns,
            Method::Heads => no_heads,
            Method::Ffns => no_ffns,
        }
    }
}

fn score(scorer: &mut dyn Scorer, mask: &Mask, pass: usize) -> Result<(f64, RawImportance)> {
    let (score, raw) = scorer.score(mask)?;
    if !score.is_finite() {
        return Err(Error::internal(format!(
            "the score of pass {pass} of the search ({} of {} heads, {} of {} FFNs kept) is {score}. The model's \
             outputs are not finite: fine-tune again with a lower learning rate.",
            mask.heads_kept(),
            mask.heads_total(),
            mask.ffns_kept(),
            mask.ffns_total()
        )));
    }
    if raw.heads.len() != mask.heads.len() || raw.ffns.len() != mask.ffns.len() {
        return Err(Error::internal(format!(
            "pass {pass} of the search scored {} heads and {} FFNs of a model with {} and {}",
            raw.heads.len(),
            raw.ffns.len(),
            mask.heads.len(),
            mask.ffns.len()
        )));
    }
    Ok((score, raw))
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
