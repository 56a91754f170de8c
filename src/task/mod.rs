//! Tasks: the registry, data files in several formats, the generated demo task, and the metrics.

#[cfg(test)]
mod agreement;
mod cells;
mod csv;
mod data;
mod demo;
mod evaluate;
mod example;
mod file_format;
mod find;
mod glue;
mod id;
mod inference;
mod jsonl;
mod metrics;
mod parquet;
mod registered;
mod registry;
mod rows;
mod source;
mod spec;
pub mod squad;
mod tsv;
mod user;

pub use data::{EvalSet, hashes, load, load_dev, load_test};
pub use demo::corpus as demo_corpus;
pub use evaluate::{argmax, classes_as, evaluate, evaluate_as, majority_baseline};
pub use example::{Example, Label, TaskData};
pub use file_format::FileFormat;
pub use id::{TaskId, UserTask};
pub use metrics::{MetricId, Predictions, compute};
pub use source::Source;
pub use spec::{Columns, Labels, Split, Stem, TaskSpec};
pub use user::Definition;
