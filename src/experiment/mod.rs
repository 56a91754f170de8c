//! One run, from a task and a pre-trained model to a record; and one pre-training, from text to a model.

mod contents;
pub mod cost;
mod data_folder;
mod devices;
mod dropouts;
mod executor;
mod finetuned;
pub mod graph;
mod identity;
pub mod inputs;
mod model_folder;
mod name;
mod preflight;
pub mod pretraining;
pub mod protocol;
pub mod provenance;
pub mod record;
mod restore;
pub mod run;
mod split;
pub mod stage;
pub mod stages;
pub mod ticket;
pub mod ticket_file;
pub mod transfer;
mod warnings;
pub mod workload;

pub use contents::{Contents, Roots};
pub use data_folder::{DataFolder, data_folder};
pub use identity::{identity, run_name, run_name_of, settings};
pub use inputs::Inputs;
pub use model_folder::model_folder;
pub use preflight::Preflight;
pub use record::Record;
pub use run::{Experiment, plan, run};
pub use ticket_file::TicketFile;
