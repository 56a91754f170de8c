//! What a protocol is.

use super::comparison::{Found, compare, record};
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{Inputs, Record, graph::Graph, stage::Outcomes},
};

/// The method of a run. It computes nothing.
pub trait Protocol {
    /// Adds the stages that train the full model and find the tickets.
    ///
    /// # Errors
    /// A usage error when settings contradict each other.
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found>;

    /// All stages of a run.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    fn graph(&self, config: &ExperimentConfig) -> Result<Graph> {
        let mut graph = Graph::default();
        let found = self.find(&mut graph, config)?;
        compare(&mut graph, config, found)?;
        Ok(graph)
    }

    /// The record, once all stages are done.
    fn record(&self, config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes) -> Result<Record> {
        record(config, inputs, done, self.find(&mut Graph::default(), config)?)
    }
}

/// Refuses a ticket file beside a method that finds its ticket.
pub fn without_ticket_file(config: &ExperimentConfig) -> Result<()> {
    match config.ticket {
        None => Ok(()),
        Some(_) => Err(Error::usage(format!(
            "the method is {}, which searches a ticket, and ticket names a file that has one. Leave one of the two out.",
            config.method
        ))),
    }
}
