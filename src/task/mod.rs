//! Tasks: the registry, GLUE's files, the generated demo task, and the metrics.

mod data;
mod demo;
mod evaluate;
mod example;
mod glue;
mod metrics;
mod tsv;

pub use data::{hashes, load};
pub use demo::corpus as demo_corpus;
pub use evaluate::{argmax, evaluate, majority_baseline};
pub use example::{Example, Label, TaskData};
pub use glue::{Columns, Labels, TaskId, TaskSpec};
pub use metrics::{MetricId, Predictions, compute};
