//! A ticket that was found elsewhere, on another machine, model or task: what [`Structured`](super::Structured) does, with
//! the mask of a file in the place of the search. All modes are controls of that ticket.

use super::{definition::Protocol, structured};
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{Inputs, Record, graph::Graph, stage::Outcomes, stages::TakeUp},
};

pub struct TakenUp;

const TICKET: &str = "ticket";

impl Protocol for TakenUp {
    fn graph(&self, config: &ExperimentConfig) -> Result<Graph> {
        let ticket = config.ticket.clone().ok_or_else(|| {
            Error::usage(
                "the method ticket takes its mask from a file. Give --ticket FILE, or another --method.",
            )
        })?;
        Ok(structured::graph(config, TICKET, TakeUp { ticket }))
    }

    fn record(&self, config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes) -> Result<Record> {
        let mut record = structured::record(config, inputs, done, TICKET)?;
        if let (Some(file), true) = (&inputs.ticket, done.contains_key(TICKET)) {
            let (model, sha256) = (&inputs.folder.name, &inputs.model.sha256);
            record.warnings.extend(file.warnings(model, sha256, inputs.task.name));
        }
        Ok(record)
    }
}
