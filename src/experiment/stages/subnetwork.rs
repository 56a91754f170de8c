//! Which units a stage keeps.

use crate::{
    choice::Choice,
    error::Result,
    experiment::{
        stage::{Given, Known, early},
        ticket::Ticket,
    },
    prune::{Mask, Method, Mode, RandomRule, control},
};
use serde::Serialize;

/// A subnetwork, by how it is found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subnetwork {
    /// Every unit of the pre-trained model.
    Whole,
    /// The control `mode` of the ticket that the node `ticket` has found.
    Control { mode: Mode, method: Method, seed: u64, random: RandomRule, ticket: &'static str },
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
        match *self {
            Self::Whole => Ok(Some(Mask::full(model.num_hidden_layers, model.num_attention_heads))),
            Self::Control { mode, method, seed, random, ticket } => {
                let Some(search) = known.done.get(ticket) else { return Ok(None) };
                let good = Ticket::read(search, model)?;
                Ok(Some(control(mode, method, &good.mask, seed, random)))
            }
        }
    }

    /// [`mask`](Self::mask) of a stage that is computed.
    pub fn units(&self, given: &Given) -> Result<Mask> {
        self.mask(&given.known())?.ok_or_else(|| early("the ticket"))
    }

    /// Whether nothing is pruned.
    pub fn is_whole(mask: &Mask) -> bool {
        mask.heads_kept() == mask.heads_total() && mask.ffns_kept() == mask.ffns_total()
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Whole => Mode::Full.name(),
            Self::Control { mode, .. } => mode.name(),
        }
    }
}
