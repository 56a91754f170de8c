//! A ticket that was found elsewhere, on another machine, model or task (Chen et al. 2020, section 4): what the other protocols do, with the mask of a
//! file in the place of a search. All modes are controls of that ticket.

use super::{
    comparison::{FINETUNE, Found, finetune, record},
    definition::Protocol,
};
use crate::{
    choice::Choice,
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{Inputs, Record, graph::Graph, stage::Outcomes, stages::TakeUp},
    prune::{Method, Mode},
};

pub struct TakenUp;

const TICKET: &str = "ticket";

impl Protocol for TakenUp {
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found> {
        let ticket = match (&config.ticket, config.ticket_from) {
            (Some(file), None) => file.clone(),
            (None, Some(task)) if config.method != Method::Ticket => task.name().to_owned(),
            (Some(_), Some(_)) => {
                return Err(Error::usage("ticket and ticket_from are both given. Leave one of the two out."));
            }
            _ => {
                return Err(Error::usage(
                    "the method ticket takes its mask from a file. Give --ticket FILE, or another --method.",
                ));
            }
        };
        if config.mode.control(&config.control).of_seeds() {
            return Err(Error::usage(format!(
                "a ticket file has one ticket, and the mode {} is of several seeds'. Take another mode.",
                config.mode
            )));
        }
        finetune(graph, config);
        if config.mode == Mode::Full {
            return Ok(Found { trained: FINETUNE, tickets: Vec::new() });
        }
        graph.add(TICKET, None, TakeUp { ticket });
        Ok(Found { trained: FINETUNE, tickets: vec![TICKET] })
    }

    fn record(&self, config: &ExperimentConfig, inputs: &Inputs, done: &Outcomes) -> Result<Record> {
        let mut record = record(config, inputs, done, self.find(&mut Graph::default(), config)?)?;
        if let (Some(file), true) = (&inputs.ticket, done.contains_key(TICKET)) {
            let (model, sha256) = (&inputs.folder.name, &inputs.model.sha256);
            record.warnings.extend(file.warnings(model, sha256, inputs.task.name));
        }
        Ok(record)
    }
}
