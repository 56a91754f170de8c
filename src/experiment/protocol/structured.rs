//! Pruning while the score holds (Prasanna et al. 2020, sections 3 and 4): fine-tune, search for the good ticket (heads and
//! FFNs by importance, or single weights by magnitude), then evaluate and retrain it or a control of the same size.

use super::{
    comparison::{FINETUNE, Found, finetune, named, tickets},
    definition::{Protocol, without_ticket_file},
};
use crate::{
    config::ExperimentConfig,
    error::Result,
    experiment::{graph::Graph, stages::Search},
};

pub struct Structured;

fn find(
    graph: &mut Graph,
    config: &ExperimentConfig,
    model: &'static str,
    number: Option<u64>,
) -> &'static str {
    let node = named("search", number);
    graph.add(node, None, Search::new(config, model));
    node
}

impl Protocol for Structured {
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found> {
        without_ticket_file(config)?;
        finetune(graph, config);
        Ok(Found { trained: FINETUNE, tickets: tickets(graph, config, &find) })
    }
}
