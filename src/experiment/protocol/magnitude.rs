//! Single weights by magnitude, at once: of the fine-tuned model, or of the pre-trained one (Chen et al. 2020, one-shot
//! magnitude pruning).

use super::{
    comparison::{FINETUNE, Found, finetune, named, tickets},
    definition::{Protocol, without_ticket_file},
};
use crate::{
    config::ExperimentConfig,
    error::Result,
    experiment::{graph::Graph, stages::Magnitude},
    prune::Method,
};

pub struct OneShotMagnitude;

fn find(
    graph: &mut Graph,
    config: &ExperimentConfig,
    model: &'static str,
    number: Option<u64>,
) -> &'static str {
    let node = named("search", number);
    match config.method {
        Method::Omp => graph.add(node, None, Magnitude::of_pretrained(config)),
        _ => graph.add(node, None, Magnitude::of(config, model)),
    }
    node
}

impl Protocol for OneShotMagnitude {
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found> {
        without_ticket_file(config)?;
        finetune(graph, config);
        Ok(Found { trained: FINETUNE, tickets: tickets(graph, config, &find) })
    }
}
