//! What a protocol is.

use crate::{
    config::ExperimentConfig,
    error::Result,
    experiment::{Inputs, Record, graph::Graph, stage::Outcomes},
};

/// The method of a run.
pub trait Protocol {
    /// The stages that it needs.
    ///
    /// # Errors
    /// A usage error when settings contradict each other.
    fn graph(&self, config: &ExperimentConfig) -> Result<Graph>;

    /// The record, once all stages are done.
    fn record(&self, config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes) -> Result<Record>;
}
