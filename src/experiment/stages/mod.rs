//! The stages, one file each, and the files that several of them write.

mod evaluate;
mod files;
mod search;
mod subnetwork;
mod take_up;
mod train;

pub use evaluate::Evaluate;
pub use files::{METRICS, Metrics, answers_by_id, metrics, predictions, scores, write_json, write_model};
pub use search::Search;
pub use subnetwork::Subnetwork;
pub use take_up::TakeUp;
pub use train::Train;
