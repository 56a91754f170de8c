//! Protocols: the method sections of the papers, each as the stages that a run needs and what its record says of them.

mod structured;

use super::{Experiment, Record, graph::Graph, stage::Outcomes};
use crate::{config::ExperimentConfig, error::Result};

/// How one run goes.
pub trait Protocol {
    /// The stages that it needs.
    ///
    /// # Errors
    /// A usage error when settings do not fit together.
    fn graph(&self, config: &ExperimentConfig) -> Result<Graph>;

    /// The record, from all stages.
    fn record(&self, experiment: &Experiment, done: &Outcomes) -> Result<Record>;
}

/// The protocol of a run with these settings.
pub fn protocol(_config: &ExperimentConfig) -> &'static dyn Protocol {
    &structured::Structured
}

/// The stages of a run with these settings.
pub fn graph(config: &ExperimentConfig) -> Result<Graph> {
    protocol(config).graph(config)
}
