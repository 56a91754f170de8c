//! The subnetwork of a stage.

use crate::{
    choice::Choice,
    config::ExperimentConfig,
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
    /// The control `mode` of the tickets that these nodes find: one, or one for each seed of super-survivors.
    Control { mode: Mode, seed: u64, rules: ControlRules, tickets: Vec<&'static str> },
}

impl Subnetwork {
    /// The subnetwork of a run with this mode.
    pub fn of_run(config: &ExperimentConfig, tickets: Vec<&'static str>) -> Self {
        let (mode, mut rules) = (config.mode, config.control.clone());
        // One mask for all seeds, whatever their order.
        rules.seeds.sort_unstable();
        let seed = if mode.control(&rules).of_seeds() { rules.seeds.first().copied() } else { None };
        match mode {
            Mode::Full => Self::Whole,
            mode => Self::Control { mode, seed: seed.unwrap_or(config.seed), rules, tickets },
        }
    }

    /// The nodes that find its tickets.
    pub fn reads(&self) -> Vec<&'static str> {
        match self {
            Self::Whole => Vec::new(),
            Self::Control { tickets, .. } => tickets.clone(),
        }
    }

    /// Its mask; `None` while the ticket is not found yet.
    ///
    /// # Errors
    /// The ticket is damaged.
    pub fn mask(&self, known: &Known) -> Result<Option<Mask>> {
        let model = known.hashes.model;
        let whole = Mask::full(model.num_hidden_layers, model.num_attention_heads);
        match self {
            Self::Whole => Ok(Some(whole)),
            Self::Control { mode, seed, rules, tickets } => {
                let found: Option<Vec<_>> = tickets.iter().map(|node| known.done.get(node)).collect();
                let Some(found) = found else { return Ok(None) };
                let read = found.into_iter().map(|stage| Ticket::read(stage, model));
                let read = read.collect::<Result<Vec<_>>>()?;
                let tickets = read.iter().map(|ticket| prune::Ticket {
                    mask: &ticket.mask,
                    opposite: ticket.opposite.as_ref(),
                    searched: ticket.method.kinds(),
                });
                let tickets: Vec<_> = tickets.collect();
                mode.control(rules).draw(&whole, &tickets, *seed).map(Some)
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
