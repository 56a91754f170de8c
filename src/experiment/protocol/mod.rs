//! Protocols: the method sections of the papers, each as the stages that a run needs and the record that it writes. A
//! protocol is a file of its own and an arm of [`protocol`].

mod definition;
mod structured;
mod taken_up;

pub use definition::Protocol;

use super::graph::Graph;
use crate::{config::ExperimentConfig, error::Result, prune::Method};
use structured::Structured;
use taken_up::TakenUp;

/// The protocol of a run with these settings.
pub fn protocol(config: &ExperimentConfig) -> &'static dyn Protocol {
    match config.method {
        Method::HeadsFfns | Method::Heads | Method::Ffns => &Structured,
        Method::Ticket => &TakenUp,
    }
}

/// The stages of a run with these settings.
pub fn graph(config: &ExperimentConfig) -> Result<Graph> {
    protocol(config).graph(config)
}
