//! Which units a stage keeps.

use crate::{
    choice::Choice,
    error::Result,
    experiment::{
        stage::{Given, Known, early},
        ticket::Ticket,
    },
    prune::{self, ControlRules, Mask, Method, Mode},
};
use serde::Serialize;

/// A subnetwork, by how it is found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subnetwork {
    /// Every unit of the pre-trained model.
    Whole,
    /// The control `mode` of the ticket that the node `ticket` has found.
    Control { mode: Mode, method: Method, seed: u64, rules: ControlRules, ticket: &'static str },
}

impl Subnetwork {
    /// The node that it is found in.
    pub fn reads(&self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Control { ticket, .. } => Some(ticket),
        }
    }

    /// The units that are kept; `None` while the ticket is not found yet.
    ///
    /// # Errors
    /// When the ticket is damaged.
    pub fn mask(&self, known: &Known) -> Result<Option<Mask>> {
        let model = known.hashes.model;
        let whole = Mask::full(model.num_hidden_layers, model.num_attention_heads);
        match *self {
            Self::Whole => Ok(Some(whole)),
            Self::Control { mode, method, seed, rules, ticket } => {
                let Some(search) = known.done.get(ticket) else { return Ok(None) };
                let good = Ticket::read(search, model)?;
                let good = prune::Ticket { mask: &good.mask, searched: method.kinds() };
                mode.control(rules).draw(&whole, &[good], seed).map(Some)
            }
        }
    }

    /// [`mask`](Self::mask) of a stage that is computed.
    pub fn units(&self, given: &Given) -> Result<Mask> {
        self.mask(&given.known())?.ok_or_else(|| early("the ticket"))
    }

    /// Whether nothing is pruned.
    pub fn is_whole(mask: &Mask) -> bool {
        mask.is_whole()
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Whole => Mode::Full.name(),
            Self::Control { mode, .. } => mode.name(),
        }
    }
}
