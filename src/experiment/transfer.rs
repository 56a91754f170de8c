//! What a run takes of another task's: its ticket (Chen et al. 2020, section 4), and where it continues that run the weights
//! that it ends with (Liang et al. 2021, section 4.4).

use super::{
    executor::execute,
    graph::Graph,
    restore::weights_for,
    run::Experiment,
    stage::{Given, Outcomes},
    ticket::{TICKET, Ticket},
    ticket_file::{About, Base, TicketFile, search_of},
};
use crate::{
    choice::Choice,
    config::{ExperimentConfig, Init},
    error::{Error, Result},
    model::weights::Pretrained,
    prune::Mode,
    store::{Pinned, StageId, Store},
    train::Progress,
};
use serde_json::{Value, json};
use std::path::Path;

/// A model that another run has trained.
#[derive(Debug)]
pub struct Trained {
    pub model: Pretrained,
    /// Its stage, from which nothing is removed meanwhile.
    pinned: Pinned,
}

impl Trained {
    pub fn id(&self) -> &StageId {
        self.pinned.done().id()
    }
}

/// The run whose ticket this one takes, where it takes that of a task: with the preset's recipe for that task, and of this
/// run's mode where its weights are taken too.
///
/// # Errors
/// As those of a run of that task.
pub fn source(config: &ExperimentConfig) -> Result<Option<ExperimentConfig>> {
    let Some(task) = config.ticket_from else { return Ok(None) };
    if config.init == Init::Source {
        return config.of_source(task).map(Some);
    }
    let own = ExperimentConfig { mode: Mode::Good, ticket_from: None, ..config.clone() };
    let own = ExperimentConfig { init: Init::Pretrained, ..own };
    own.of_task(task).map(Some)
}

/// The ticket of a [`source`], found in the store or searched; it is neither evaluated nor retrained.
pub fn find(source: &Experiment, store: &Store, progress: &mut dyn Progress) -> Result<TicketFile> {
    let mut graph = Graph::default();
    source.protocol.find(&mut graph, &source.config)?;
    let every = source.config.run.checkpoint_interval();
    let done = execute(&graph, &source.inputs, every, store, progress)?;
    ticket(source, &done)?.ok_or_else(|| Error::internal("the source's run has no ticket"))
}

/// The ticket among what a [`source`] has done; none of a full model.
fn ticket(source: &Experiment, done: &Outcomes) -> Result<Option<TicketFile>> {
    let (config, inputs) = (&source.config, &source.inputs);
    let found = source.protocol.find(&mut Graph::default(), config)?;
    let Some(node) = found.tickets.last() else { return Ok(None) };
    let stage = &done[node];
    let ticket = Ticket::read(stage, &inputs.model.config)?;
    let base = Base::new(
        Some(inputs.folder.name.clone()),
        inputs.folder.revision.clone(),
        &inputs.model.sha256,
        &inputs.model.config,
    );
    let about = About {
        format_version: 1,
        lottery_version: env!("CARGO_PKG_VERSION").to_owned(),
        base,
        task: inputs.task.name.to_owned(),
        metric: inputs.task.metric.name().to_owned(),
        mode: Some(Mode::Good.name().to_owned()),
        seed: Some(config.seed),
        preset: config.preset.clone(),
        scores: Value::Null,
        config: Value::Null,
        stages: json!({ "search": stage.id().as_str() }),
        search: search_of(stage.read_json(TICKET)?),
    };
    let bytes = TicketFile::bytes(&ticket.mask, &about)?;
    TicketFile::parse(Path::new(&format!("the ticket of {}", inputs.task.name)), &bytes).map(Some)
}

/// The model that a [`source`] ends with, found in the store or trained, and its ticket.
pub fn train(
    source: &Experiment,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<(Trained, Option<TicketFile>)> {
    let (graph, inputs) = (&source.graph, &source.inputs);
    let checkpoint_every = source.config.run.checkpoint_interval();
    let done = execute(graph, inputs, checkpoint_every, store, progress)?;
    let node = graph.nodes().last().ok_or_else(|| Error::internal("the source's run has no stages"))?;
    let given = Given { id: done[node.name].id(), inputs, done: &done, checkpoint_every };
    let pinned = weights_for(node, &given, store, progress)?;
    let trained = Trained { model: Pretrained::load(pinned.done().dir())?, pinned };
    Ok((trained, ticket(source, &done)?))
}
