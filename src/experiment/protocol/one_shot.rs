//! Levels of one-shot pruning (Liang et al. 2021, section 3): the fine-tuned model is scored once, and every level prunes
//! more of the least important units. Winning tickets are the mode good, losing ones bad.

use super::{
    comparison::{FINETUNE, Found, finetune, named, tickets},
    definition::{Protocol, without_ticket_file},
};
use crate::{
    config::ExperimentConfig,
    error::Result,
    experiment::{
        graph::Graph,
        stages::{Level, Score},
    },
};

pub struct OneShot;

fn find(
    graph: &mut Graph,
    config: &ExperimentConfig,
    model: &'static str,
    number: Option<u64>,
) -> &'static str {
    let (score, node) = (named("score", number), named("search", number));
    graph.add(score, None, Score::new(config, model));
    graph.add(node, None, Level::new(config, score));
    node
}

impl Protocol for OneShot {
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found> {
        without_ticket_file(config)?;
        finetune(graph, config);
        Ok(Found { trained: FINETUNE, tickets: tickets(graph, config, &find) })
    }
}
