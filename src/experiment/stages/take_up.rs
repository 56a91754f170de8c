//! Takes up a ticket that was found elsewhere: the mask of a ticket file, in the place of a search.

use crate::{
    error::{Error, Result},
    experiment::{
        Inputs,
        stage::{Given, Identity, Known, Stage},
    },
    store::{StageWriter, TICKET as KIND},
    train::Progress,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Copies the ticket into the store, where controls and records find it as they find that of a search.
#[derive(Clone, Debug, Serialize)]
pub struct TakeUp {
    /// The file's path, or the task that it is of.
    pub ticket: String,
}

impl Stage for TakeUp {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(known.hashes.ticket.map(|hash| Identity { kind: &KIND, inputs: json!({ "ticket": hash }) }))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("the ticket of {}", self.ticket)
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let file = given.inputs.ticket.as_ref().ok_or_else(|| Error::internal("no ticket was read"))?;
        file.ticket()?.write(out)?;
        progress.note(&format!("{}: {} kept, from {}", given.id, file.mask, self.ticket));
        Ok(json!({ "ticket": file.about }))
    }
}
