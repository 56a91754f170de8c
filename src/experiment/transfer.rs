//! The ticket of one task for a run on another (Chen et al. 2020, section 4).

use super::{
    executor::execute,
    graph::Graph,
    run::Experiment,
    ticket::{TICKET, Ticket},
    ticket_file::{About, Base, TicketFile, search_of},
};
use crate::{
    choice::Choice,
    config::{ExperimentConfig, Init},
    error::{Error, Result},
    prune::Mode,
    store::Store,
    train::Progress,
};
use serde_json::{Value, json};
use std::path::Path;

/// The run whose ticket this one takes, where it takes that of a task: with the preset's recipe for that task.
///
/// # Errors
/// As those of a run of that task.
pub fn source(config: &ExperimentConfig) -> Result<Option<ExperimentConfig>> {
    let Some(task) = config.ticket_from else { return Ok(None) };
    let own = ExperimentConfig { mode: Mode::Good, ticket_from: None, ..config.clone() };
    let own = ExperimentConfig { init: Init::Pretrained, ..own };
    own.for_task(task).map(Some)
}

/// The ticket of a [`source`], found in the store or searched; it is neither evaluated nor retrained.
pub fn find(source: &Experiment, store: &Store, progress: &mut dyn Progress) -> Result<TicketFile> {
    let (config, inputs) = (&source.config, &source.inputs);
    let mut graph = Graph::default();
    let found = source.protocol.find(&mut graph, config)?;
    let every = config.run.checkpoint_interval();
    let done = execute(&graph, inputs, every, store, progress)?;
    let node = found.tickets.last().ok_or_else(|| Error::internal("the source's run has no ticket"))?;
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
    TicketFile::parse(Path::new(&format!("the ticket of {}", inputs.task.name)), &bytes)
}
