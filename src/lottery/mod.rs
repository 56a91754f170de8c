//! One run: from a task and a pre-trained model to a record.

pub mod experiment;
pub mod pipeline;
pub mod record;
pub mod stages;
pub mod ticket;
pub mod warnings;

pub use experiment::Experiment;
pub use pipeline::{plan, run};
pub use record::Record;
