//! A ticket outside of the store: as a model that other programs load, or as one file that another machine takes up.
//!
//! What is written is read again and compared with its source before it gets its name.

mod card;
mod check;
mod cost;
mod folder;
mod latency;
mod provenance;
mod ticket;

pub use card::{measured_on, rows as card_rows};
pub use check::Examples;
pub use cost::Cost;
pub use folder::{Form, Model, write as write_model};
pub use latency::{Grid, Latency};
pub use provenance::{about, task};
pub use ticket::{TicketReport, write as write_ticket};

use crate::{
    error::{Error, Result},
    experiment::ticket_file::About,
    model::Head,
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

/// What was exported, for the model card and for programs.
#[derive(Serialize)]
pub struct Report {
    pub format_version: u32,
    pub form: Form,
    pub path: String,
    /// What the model is: a stage, a record's retrained model, a folder.
    pub source: String,
    pub about: Option<About>,
    pub labels: Vec<String>,
    pub units: Units,
    pub checked: Checked,
    /// Of the model with all units, and of the export.
    pub cost: BTreeMap<&'static str, Cost>,
    pub latency: Vec<Latency>,
    pub device: Value,
    pub notes: Vec<String>,
}

/// The units that are left, and those of the full model.
#[derive(Serialize)]
pub struct Units {
    pub heads: [usize; 2],
    pub ffns: [usize; 2],
    /// Inner neurons of all FFNs.
    pub neurons: [usize; 2],
}

#[derive(Serialize)]
pub struct Checked {
    pub on: String,
    /// Of a logit.
    pub largest_difference: f32,
}

/// What loads a model with this head in transformers.
fn auto_class(head: Head) -> &'static str {
    match head {
        Head::Classifier { .. } => "AutoModelForSequenceClassification",
        Head::Spans => "AutoModelForQuestionAnswering",
        Head::MaskedLm => "AutoModelForMaskedLM",
    }
}

/// Refuses a path where something is that would be lost; an empty folder may be there if a folder is to be written.
pub fn check_out(out: &Path, folder: bool) -> Result<()> {
    let is_empty = || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    match fs::symlink_metadata(out) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(out, "write", &e)),
        Ok(found) if folder && found.is_dir() && is_empty() => Ok(()),
        Ok(_) => Err(Error::usage(format!(
            "--out {}: {}, and nothing is overwritten. Name a new {}.",
            out.display(),
            if folder && out.is_dir() {
                "the folder is not empty"
            } else {
                "something of this name is there"
            },
            if folder { "folder" } else { "file, such as ticket.safetensors" }
        ))),
    }
}
