//! Protocols: the method sections of the papers, each as the stages that a run needs and the record that it writes. A
//! protocol is a file of its own and an arm of [`protocol`].

mod comparison;
mod definition;
mod gradual;
mod iterative;
mod magnitude;
mod one_shot;
mod structured;
mod taken_up;

pub use definition::Protocol;

use super::graph::Graph;
use crate::{config::ExperimentConfig, error::Result, prune::Method};
use gradual::GradualPruning;
use iterative::Iterative;
use magnitude::OneShotMagnitude;
use one_shot::OneShot;
use structured::Structured;
use taken_up::TakenUp;

/// The protocol of a run with these settings.
pub fn protocol(config: &ExperimentConfig) -> &'static dyn Protocol {
    if config.ticket_from.is_some() {
        return &TakenUp;
    }
    match config.method {
        Method::Magnitude if config.prune.sparsity.is_some() => &OneShotMagnitude,
        Method::HeadsFfns | Method::Heads | Method::Ffns | Method::Magnitude => &Structured,
        Method::OneShot => &OneShot,
        Method::Imp => &Iterative,
        Method::Omp => &OneShotMagnitude,
        Method::Gmp => &GradualPruning,
        Method::Ticket => &TakenUp,
    }
}

/// The stages of a run with these settings.
pub fn graph(config: &ExperimentConfig) -> Result<Graph> {
    protocol(config).graph(config)
}
