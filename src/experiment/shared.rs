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
    choice::Choice,
    config::{ExperimentConfig, TrainConfig},
    error::{Error, Result},
    prune::Mask,
    store::Store,
    train::Progress,
};
use serde_json::json;
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

/// The runs of the other tasks, whose subnetworks share the encoder with this one's; none where that is its source's.
///
/// # Errors
/// As those of [`ExperimentConfig::of_partner`].
pub fn sources(config: &ExperimentConfig) -> Result<Vec<ExperimentConfig>> {
    let others = if config.shares_encoder() { config.shared.others(config.task) } else { Vec::new() };
    others.into_iter().map(|task| config.of_partner(task)).collect()
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
    if !config.shares_encoder() {
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
    sources(config)?.iter().try_for_each(|other| check_recipe(config, other))
}

/// Refuses a task that would be trained by another recipe: the encoder has one.
fn check_recipe(config: &ExperimentConfig, other: &ExperimentConfig) -> Result<()> {
    let of_encoder = |of: &ExperimentConfig| {
        let train = of.train.clone();
        let learning_rate = config.shared.learning_rate.unwrap_or(train.learning_rate);
        json!(TrainConfig { learning_rate, classifier_dropout: None, ..train })
    };
    let (own, theirs) = (of_encoder(config), of_encoder(other));
    let differs = own.as_object().and_then(|all| all.keys().find(|key| own[*key] != theirs[*key]));
    let Some(key) = differs else { return Ok(()) };
    let task = other.task.name();
    let remedy = match key.as_str() {
        "learning_rate" => "Give shared.learning_rate, the one of their training together".to_owned(),
        key => format!("Give train.{key} one value for all, or leave {task} out"),
    };
    Err(Error::usage(format!(
        "tasks.{task}.train.{key} is {}, and {} has {}: tasks that share an encoder are trained by one recipe. {remedy}.",
        theirs[key], config.task, own[key]
    )))
}
