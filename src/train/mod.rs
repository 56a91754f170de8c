//! Fine-tuning and evaluation.

pub mod checkpoint;
pub mod dataset;
pub mod evaluate;
pub mod finetune;
pub mod progress;
pub mod schedule;

pub use checkpoint::Checkpoints;
pub use dataset::Dataset;
pub use evaluate::logits;
pub use finetune::{Recipe, Summary, finetune};
pub use progress::{Progress, Silent};
