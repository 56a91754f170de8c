//! One run: from a task and a pre-trained model to a record. And one pre-training: from text to a model.

mod again;
mod contents;
mod devices;
mod dropouts;
mod identity;
pub mod inputs;
mod model_folder;
pub mod pipeline;
mod preflight;
pub mod pretraining;
pub mod record;
pub mod stages;
pub mod ticket;
pub mod warnings;

pub use contents::Contents;
pub use identity::{identity, run_name, run_name_of, settings};
pub use inputs::Experiment;
pub use pipeline::{plan, run};
pub use preflight::Preflight;
pub use record::Record;
