//! How a ticket is found. A search is a file of its own and a variant of [`Method`].

mod given;
mod one_kind;
mod select;
mod steps;
#[cfg(test)]
mod tests;
mod three_phase;
mod trace;

pub use select::lowest;
pub use trace::{Pass, Phase, Search, SearchRules, Step, Trace};

use super::Kind;
use crate::choice::choices;
use given::Given;
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
        /// nothing: the mask is that of a ticket file (--ticket)
        Ticket = "ticket",
    }
}

impl Method {
    pub fn search(self, rules: SearchRules) -> Box<dyn Search> {
        match self {
            Self::HeadsFfns => Box::new(ThreePhase(rules)),
            Self::Heads => Box::new(OneKind { kind: Kind::Heads, phase: Phase::Heads, rules }),
            Self::Ffns => Box::new(OneKind { kind: Kind::Ffns, phase: Phase::Ffns, rules }),
            Self::Ticket => Box::new(Given),
        }
    }

    /// What its search may prune.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::HeadsFfns | Self::Ticket => &[Kind::Heads, Kind::Ffns],
            Self::Heads => &[Kind::Heads],
            Self::Ffns => &[Kind::Ffns],
        }
    }
}
