//! The stages, one file each, and the files that several of them write.

mod evaluate;
mod files;
mod search;
mod subnetwork;
mod train;

pub use evaluate::Evaluate;
pub use files::{METRICS, Metrics, metrics, scores, write_json, write_model};
pub use search::Search;
pub use subnetwork::Subnetwork;
pub use train::Train;
