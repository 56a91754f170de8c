//! How a ticket is found. A search is a file of its own and a variant of [`Method`].

mod given;
mod magnitude;
mod one_kind;
mod one_shot;
mod select;
mod steps;
#[cfg(test)]
mod tests;
mod three_phase;
mod trace;

pub use one_shot::{OneShot, one_shot};
pub use select::lowest;
pub use trace::{Pass, Phase, Search, SearchRules, Step, Trace};

use super::{Kind, PruneRules};
use crate::choice::choices;
use given::Given;
use magnitude::GlobalMagnitude;
use one_kind::OneKind;
use three_phase::ThreePhase;

choices! {
    /// Which kinds of units a search prunes, and in which order.
    pub enum Method ("method") {
        /// three phases: heads and FFNs together, then heads in half steps, then FFNs
        HeadsFfns = "heads+ffns",
        /// heads alone
        Heads = "heads",
        /// FFNs alone
        Ffns = "ffns",
        /// heads and FFNs at once, by one scoring, to a level or a sparsity (Liang et al. 2021)
        OneShot = "one-shot",
        /// single weights of smallest magnitude after fine-tuning: in steps, or at once to a sparsity
        Magnitude = "magnitude",
        /// iterative magnitude pruning: train, prune single weights, rewind, and again (Chen et al. 2020)
        Imp = "imp",
        /// single weights of the pre-trained model of smallest magnitude, at once (Chen et al. 2020)
        Omp = "omp",
        /// single weights of smallest magnitude in steps of a fine-tuning, without rewinding (Kurtic and Alistarh 2022, GMP★)
        Gmp = "gmp",
        /// nothing: the mask is that of a ticket file (--ticket)
        Ticket = "ticket",
    }
}

impl Method {
    pub fn search(self, rules: SearchRules, prune: PruneRules) -> Box<dyn Search> {
        let target = prune.sparsity;
        match self {
            Self::HeadsFfns => Box::new(ThreePhase { rules, target }),
            Self::Heads => Box::new(OneKind { kind: Kind::Heads, phase: Phase::Heads, rules, target }),
            Self::Ffns => Box::new(OneKind { kind: Kind::Ffns, phase: Phase::Ffns, rules, target }),
            Self::Magnitude => Box::new(GlobalMagnitude { rules, prune }),
            Self::OneShot | Self::Imp | Self::Omp | Self::Gmp | Self::Ticket => Box::new(Given),
        }
    }

    /// What its search may prune.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::HeadsFfns | Self::OneShot => &[Kind::Heads, Kind::Ffns],
            Self::Heads => &[Kind::Heads],
            Self::Ffns => &[Kind::Ffns],
            Self::Magnitude | Self::Imp | Self::Omp | Self::Gmp => &[Kind::Weights],
            Self::Ticket => &[Kind::Heads, Kind::Ffns, Kind::Weights],
        }
    }
}
