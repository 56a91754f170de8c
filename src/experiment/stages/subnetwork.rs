//! The subnetwork of a stage.

use crate::{
    choice::Choice,
    error::Result,
    experiment::{
        stage::{Given, Known, read_too_early},
        ticket::Ticket,
    },
    prune::{self, ControlRules, Mask, Mode},
};
use serde::Serialize;

/// A subnetwork, by how its mask is determined.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subnetwork {
    /// The full model.
    Whole,
    /// The control `mode` of the ticket that the node `ticket` finds.
    Control { mode: Mode, seed: u64, rules: ControlRules, ticket: &'static str },
}

impl Subnetwork {
    /// The node that finds its ticket.
    pub fn reads(&self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Control { ticket, .. } => Some(ticket),
        }
    }

    /// Its mask; `None` while the ticket is not found yet.
    ///
    /// # Errors
    /// The ticket is damaged.
    pub fn mask(&self, known: &Known) -> Result<Option<Mask>> {
        let model = known.hashes.model;
        let whole = Mask::full(model.num_hidden_layers, model.num_attention_heads);
        match *self {
            Self::Whole => Ok(Some(whole)),
            Self::Control { mode, seed, rules, ticket } => {
                let Some(search) = known.done.get(ticket) else { return Ok(None) };
                let good = Ticket::read(search, model)?;
                let good = prune::Ticket { mask: &good.mask, searched: good.method.kinds() };
                mode.control(rules).draw(&whole, &[good], seed).map(Some)
            }
        }
    }

    /// Its [`mask`](Self::mask), for a stage that is being computed.
    pub fn required_mask(&self, given: &Given) -> Result<Mask> {
        self.mask(&given.known())?.ok_or_else(|| read_too_early("the ticket"))
    }

    /// Its name in descriptions.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Whole => Mode::Full.name(),
            Self::Control { mode, .. } => mode.name(),
        }
    }
}
