//! The tasks that share an encoder with a run's own (Liang et al. 2021, section 4): their data, and their tickets.

use super::{
    Inputs,
    executor::execute,
    graph::Graph,
    run::Experiment,
    stage::Known,
    stages::{Member, Subnetwork},
};
use crate::{
    config::{ExperimentConfig, SharedConfig},
    error::{Error, Result},
    prune::Mask,
    store::Store,
    train::Progress,
};
use std::fmt;

/// A task that shares the encoder.
pub struct Partner {
    pub inputs: Inputs,
    pub member: Member,
    /// The units of its subnetwork.
    pub mask: Mask,
}

impl fmt::Debug for Partner {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Partner").field("task", &self.inputs.task.name).field("mask", &self.mask).finish()
    }
}

/// The runs of the other tasks, whose subnetworks share the encoder with this one's.
pub fn sources(config: &ExperimentConfig) -> Vec<ExperimentConfig> {
    let of_task = |task| ExperimentConfig { task, shared: SharedConfig::default(), ..config.clone() };
    config.shared.others(config.task).into_iter().map(of_task).collect()
}

/// The subnetwork of a [source](sources), found in the store or searched; it is neither evaluated nor retrained.
pub fn find(source: Experiment, store: &Store, progress: &mut dyn Progress) -> Result<Partner> {
    let Experiment { config, inputs, protocol, .. } = source;
    let mut graph = Graph::default();
    let found = protocol.find(&mut graph, &config)?;
    let subnetwork = Subnetwork::of_run(&config, found.tickets);
    // The full model takes no ticket, and needs no training of its own.
    if subnetwork.reads().is_empty() {
        graph = Graph::default();
    }
    let done = execute(&graph, &inputs, config.run.checkpoint_interval(), store, progress)?;
    let mask = subnetwork.mask(&Known::of(inputs.hashes(), &done))?;
    let mask = mask.ok_or_else(|| Error::internal("the ticket of another task is not found"))?;
    Ok(Partner { member: Member::new(&config), mask, inputs })
}

/// Refuses settings that tasks which share an encoder do not have.
pub fn check(config: &ExperimentConfig) -> Result<()> {
    let refused = |what: &str| Err(Error::usage(format!("shared.tasks: {what}.")));
    if !config.shared.is_wanted() {
        return Ok(());
    }
    if config.ticket.is_some() || config.ticket_from.is_some() {
        return refused("each task has a ticket of its own. Leave out --ticket and --ticket-from");
    }
    if !config.init.is_pretrained() {
        return refused("tasks begin together at the pre-trained weights. Leave out --init");
    }
    if config.finetuned.is_some() {
        return refused("a model that is fine-tuned already is of one task. Leave out --finetuned");
    }
    Ok(())
}
