//! The protocol of a run, by its settings.

use super::{Protocol, structured::Structured};
use crate::{config::ExperimentConfig, error::Result, experiment::graph::Graph};

/// The protocol of a run with these settings.
pub fn protocol(_config: &ExperimentConfig) -> &'static dyn Protocol {
    &Structured
}

/// The stages of a run with these settings.
pub fn graph(config: &ExperimentConfig) -> Result<Graph> {
    protocol(config).graph(config)
}
