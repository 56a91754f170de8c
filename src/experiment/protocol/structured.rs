//! Structured pruning of heads and FFNs (Prasanna et al. 2020, sections 3 and 4): fine-tune, search for the good ticket
//! by importance, then evaluate and retrain it or a control of the same size.

use super::definition::Protocol;
use crate::{
    config::ExperimentConfig,
    error::Result,
    experiment::{
        Inputs, Record,
        graph::Graph,
        record::Subject,
        stage::{Known, Outcomes, read_too_early},
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
        let mut graph = Graph::default();
        let train = Train::new(config);
        graph.add(FINETUNE, Some("full"), train.clone());
        let subnetwork = subnetwork(config);
        if subnetwork.reads().is_some() {
            graph.add(SEARCH, None, Search::new(config, FINETUNE));
        }
        let pruned = Evaluate { finetune: FINETUNE, subnetwork: subnetwork.clone() };
        graph.add(EVALUATE, Some("pruned"), pruned);
        graph.add(RETRAIN, Some("retrained"), train.of(subnetwork));
        Ok(graph)
    }

    fn record(&self, config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes) -> Result<Record> {
        let known = Known::of(inputs.hashes(), done);
        let mask = subnetwork(config).mask(&known)?.ok_or_else(|| read_too_early(SEARCH))?;
        let ticket = done.get(SEARCH).map(|search| Ticket::read(search, known.hashes.model)).transpose()?;
        Record::new(config, inputs, done, Subject { mask, ticket, nodes: [FINETUNE, EVALUATE, RETRAIN] })
    }
}

fn subnetwork(config: &ExperimentConfig) -> Subnetwork {
    match config.mode {
        Mode::Full => Subnetwork::Whole,
        mode => Subnetwork::Control {
            mode,
            method: config.method,
            seed: config.seed,
            rules: config.control,
            ticket: SEARCH,
        },
    }
}
