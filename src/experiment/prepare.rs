//! A run with what it takes of other tasks' runs, which are executed as far as it needs them.

use super::{protocol, run::Experiment, shared, transfer};
use crate::{
    config::{ExperimentConfig, Init},
    error::Result,
    store::Store,
    train::Progress,
};

/// The run with its inputs: the ticket or the weights of another task, and the tickets of the tasks that share its encoder.
///
/// # Errors
/// As those of the runs that it needs.
pub fn prepare(config: ExperimentConfig, store: &Store, progress: &mut dyn Progress) -> Result<Experiment> {
    // Settings that contradict each other are refused before anything is read.
    protocol::graph(&config)?;
    let cache = store.dir().join("cache");
    let (mut ticket, mut trained) = (None, None);
    if let Some(source) = transfer::source(&config)? {
        let continues = config.init == Init::Source;
        let what = if continues { "the weights are those" } else { "the ticket is that" };
        progress.note(&format!("{what} of {}:", source.task));
        let source = prepare(source, store, progress)?;
        if continues {
            let (model, own) = transfer::train(&source, store, progress)?;
            (trained, ticket) = (Some(model), own);
        } else {
            ticket = Some(transfer::find(&source, store, progress)?);
        }
    }
    let mut experiment = Experiment::load(config, Some(&cache), progress)?;
    if let Some(ticket) = ticket {
        experiment = experiment.with_ticket(ticket)?;
    }
    experiment.inputs.source = trained;
    for source in shared::sources(&experiment.config)? {
        progress.note(&format!("{} shares the encoder:", source.task));
        let source = Experiment::load(source, Some(&cache), progress)?;
        experiment.inputs.partners.push(shared::find(source, store, progress)?);
    }
    Ok(experiment)
}
