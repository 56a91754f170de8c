//! What all protocols end with: the subnetwork is evaluated as it is and retrained, and the record compares both with the
//! full model.

use crate::{
    config::{ExperimentConfig, Init},
    error::{Error, Result},
    experiment::{
        Inputs, Record,
        graph::Graph,
        name::numbered,
        record::Subject,
        shared,
        stage::{Known, Outcomes, read_too_early},
        stages::{Evaluate, OfShared, Start, Subnetwork, TakeFinetuned, Train, TrainShared},
        ticket::Ticket,
    },
    prune::HeadRule,
};

pub const FINETUNE: &str = "finetune";
const EARLY: &str = "early";
const EVALUATE: &str = "evaluate";
const RETRAIN: &str = "retrain";
/// The encoder that several tasks share, and the model of the run's task out of it.
const SHARED: &str = "shared";
const SHARED_TASK: &str = "shared-task";

/// The nodes that find the tickets of a run, and the one whose trained model its subnetwork is evaluated on.
pub struct Found {
    pub trained: &'static str,
    pub tickets: Vec<&'static str>,
}

/// The fine-tuning of the full model.
pub fn finetune(graph: &mut Graph, config: &ExperimentConfig) {
    match TakeFinetuned::of(config) {
        Some(taken) => graph.add(FINETUNE, Some("full"), taken),
        None => graph.add(FINETUNE, Some("full"), Train::new(config)),
    }
}

/// Adds the nodes that find a ticket on the model of a node, with this number in their names; the name of the last.
pub type Find = dyn Fn(&mut Graph, &ExperimentConfig, &'static str, Option<u64>) -> &'static str;

/// The fine-tuned models and tickets of all seeds that the run's control is drawn from.
pub fn tickets(graph: &mut Graph, config: &ExperimentConfig, find: &Find) -> Vec<&'static str> {
    if let Subnetwork::Whole = Subnetwork::of_run(config, Vec::new()) {
        return Vec::new();
    }
    if !config.mode.control(&config.control).of_seeds() {
        return vec![find(graph, config, FINETUNE, None)];
    }
    let of_seed = |seed: &u64| {
        let own = *seed == config.seed;
        let config = ExperimentConfig { seed: *seed, ..config.clone() };
        let (model, number) = if own { (FINETUNE, None) } else { (numbered(FINETUNE, *seed), Some(*seed)) };
        if !own {
            graph.add(model, None, Train::new(&config));
        }
        find(graph, &config, model, number)
    };
    let mut seeds = config.control.seeds.clone();
    seeds.sort_unstable();
    seeds.dedup();
    seeds.iter().map(of_seed).collect()
}

/// The name of a node, of the run's own seed or of another.
pub fn named(name: &'static str, number: Option<u64>) -> &'static str {
    number.map_or(name, |number| numbered(name, number))
}

/// Evaluates the subnetwork on the trained model, and retrains it.
///
/// # Errors
/// A usage error when settings contradict each other.
pub fn compare(graph: &mut Graph, config: &ExperimentConfig, found: Found) -> Result<()> {
    if config.init == Init::Source && config.ticket_from.is_none() {
        return Err(Error::usage(
            "init=source continues what another task has learnt, and none is named. Give --ticket-from TASK.",
        ));
    }
    shared::check(config)?;
    let subnetwork = Subnetwork::of_run(config, found.tickets);
    let pruned = Evaluate { finetune: found.trained, subnetwork: subnetwork.clone() };
    graph.add(EVALUATE, Some("pruned"), pruned);
    if config.shares_encoder() {
        let together = TrainShared::new(config, subnetwork.clone());
        graph.add(SHARED, None, together.clone());
        let of_task = |subnetwork| OfShared { shared: together, node: SHARED, subnetwork };
        if config.shared.finetune {
            graph.add(SHARED_TASK, None, of_task(Subnetwork::Whole));
            let alone = Train::new(config).at(config.shared.finetune_learning_rate);
            let alone = alone.of(subnetwork).from(Start::Node(SHARED_TASK));
            graph.add(RETRAIN, Some("retrained"), alone);
        } else {
            graph.add(RETRAIN, Some("retrained"), of_task(subnetwork));
        }
        return Ok(());
    }
    let start = match config.init {
        Init::Pretrained if config.prune.head == HeadRule::Kept => Start::Head(found.trained),
        Init::Pretrained => Start::Pretrained,
        Init::Random => Start::Random,
        Init::RandomMasked => Start::RandomMasked,
        Init::ShuffleLayers => Start::ShuffleLayers,
        Init::ShuffleWithin => Start::ShuffleWithin,
        Init::Finetuned => Start::Node(found.trained),
        Init::Source => Start::Source,
        Init::Step(_) | Init::Epoch(_) => {
            graph.add(EARLY, None, Train::new(config).until(config.init));
            Start::Node(EARLY)
        }
    };
    graph.add(RETRAIN, Some("retrained"), Train::new(config).of(subnetwork).from(start));
    Ok(())
}

/// The record of a graph that ends with [`compare`].
pub fn record(config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes, found: Found) -> Result<Record> {
    let known = Known::of(inputs.hashes(), done);
    // Of several tickets, as of super-survivors, none is the run's.
    let ticket = match *found.tickets {
        [node] => done.get(node).map(|stage| Ticket::read(stage, known.hashes.model)).transpose()?,
        _ => None,
    };
    let ticket = found.tickets.first().copied().zip(ticket);
    let mask = Subnetwork::of_run(config, found.tickets).mask(&known)?;
    let mask = mask.ok_or_else(|| read_too_early("the ticket"))?;
    Record::new(config, inputs, done, Subject { mask, ticket, nodes: [FINETUNE, EVALUATE, RETRAIN] })
}
