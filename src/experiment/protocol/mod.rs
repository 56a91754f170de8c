//! Protocols: the method sections of the papers, each as the stages that a run needs and the record that it writes.

mod registry;
mod structured;

pub use registry::{graph, protocol};

use super::{Inputs, Record, graph::Graph, stage::Outcomes};
use crate::{config::ExperimentConfig, error::Result};

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
