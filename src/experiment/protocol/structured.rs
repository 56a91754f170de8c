//! Structured pruning of heads and FFNs (Prasanna et al. 2020, sections 3 and 4): fine-tune, search for the good ticket
//! by importance, then evaluate and retrain it or a control of the same size.

use super::definition::Protocol;
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{
        Inputs, Record,
        graph::Graph,
        record::Subject,
        stage::{Known, Outcomes, Stage, read_too_early},
        stages::{Evaluate, Search, Subnetwork, Train},
        ticket::Ticket,
    },
    prune::Mode,
};

pub struct Structured;

const FINETUNE: &str = "finetune";
const SEARCH: &str = "search";
const EVALUATE: &str = "evaluate";
const RETRAIN: &str = "retrain";

impl Protocol for Structured {
    fn graph(&self, config: &ExperimentConfig) -> Result<Graph> {
        if config.ticket.is_some() {
            return Err(Error::usage(format!(
                "the method is {}, which searches a ticket, and ticket names a file that has one. Leave one of the two out.",
                config.method
            )));
        }
        Ok(graph(config, SEARCH, Search::new(config, FINETUNE)))
    }

    fn record(&self, config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes) -> Result<Record> {
        record(config, inputs, done, SEARCH)
    }
}

/// Fine-tunes, finds the ticket by this stage, evaluates and retrains.
pub(super) fn graph(config: &ExperimentConfig, node: &'static str, find: impl Stage + 'static) -> Graph {
    let mut graph = Graph::default();
    let train = Train::new(config);
    graph.add(FINETUNE, Some("full"), train.clone());
    let subnetwork = subnetwork(config, node);
    if subnetwork.reads().is_some() {
        graph.add(node, None, find);
    }
    let pruned = Evaluate { finetune: FINETUNE, subnetwork: subnetwork.clone() };
    graph.add(EVALUATE, Some("pruned"), pruned);
    graph.add(RETRAIN, Some("retrained"), train.of(subnetwork));
    graph
}

/// The record of a [`graph`] whose ticket is that of this node.
pub(super) fn record(
    config: &ExperimentConfig,
    inputs: &Inputs,
    done: &Outcomes,
    node: &'static str,
) -> Result<Record> {
    let known = Known::of(inputs.hashes(), done);
    let mask = subnetwork(config, node).mask(&known)?.ok_or_else(|| read_too_early(node))?;
    let ticket = done.get(node).map(|stage| Ticket::read(stage, known.hashes.model)).transpose()?;
    let ticket = ticket.map(|ticket| (node, ticket));
    Record::new(config, inputs, done, Subject { mask, ticket, nodes: [FINETUNE, EVALUATE, RETRAIN] })
}

fn subnetwork(config: &ExperimentConfig, ticket: &'static str) -> Subnetwork {
    match config.mode {
        Mode::Full => Subnetwork::Whole,
        mode => Subnetwork::Control { mode, seed: config.seed, rules: config.control, ticket },
    }
}
