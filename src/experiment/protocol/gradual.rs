//! Gradual magnitude pruning in the course of the fine-tuning (Zhu and Gupta 2017; Kurtic and Alistarh 2022, GMP★): no
//! rewinding. *Pruned* is the model that it leaves; *retrained* tells whether its mask is a ticket.

use super::{
    comparison::{FINETUNE, Found, finetune, named, tickets},
    definition::{Protocol, without_ticket_file},
};
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{
        graph::Graph,
        stages::{Gradual, Magnitude, Train},
    },
    prune::Mode,
};

pub struct GradualPruning;

const GRADUAL: &str = "gradual";

fn find(graph: &mut Graph, config: &ExperimentConfig, _: &'static str, number: Option<u64>) -> &'static str {
    let (model, node) = (named(GRADUAL, number), named("search", number));
    graph.add(model, None, Train::new(config).gradually(Gradual::new(config)));
    graph.add(node, None, Magnitude::of(config, model));
    node
}

impl Protocol for GradualPruning {
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found> {
        without_ticket_file(config)?;
        if config.prune.begin > config.prune.end {
            return Err(Error::usage(format!(
                "prune.begin is {} and prune.end {}: the last pruning is before the first. Give a larger prune.end.",
                config.prune.begin, config.prune.end
            )));
        }
        finetune(graph, config);
        let tickets = tickets(graph, config, &find);
        let trained = if config.mode == Mode::Full { FINETUNE } else { GRADUAL };
        Ok(Found { trained, tickets })
    }
}
