//! What a task *is*: the GLUE registry, its files, its metrics.

mod data;
mod evaluate;
mod example;
mod glue;
mod metrics;
mod tsv;

pub use data::{TaskData, load};
pub use evaluate::{argmax, evaluate, majority_baseline};
pub use example::{Example, Label};
pub use glue::{Columns, Labels, TaskId, TaskSpec};
pub use metrics::{MetricId, Predictions, compute};
pub use tsv::read_tsv;
