//! Fine-tuning, pre-training and evaluation.

pub mod answers;
pub mod bag_of_words;
pub mod batches;
pub mod checkpoint;
pub mod dataset;
pub mod evaluate;
pub mod event;
pub mod finetune;
pub mod gradual;
pub mod log;
pub mod masked;
pub mod optimize;
pub mod pretrain;
pub mod progress;
pub mod schedule;
pub mod select;
pub mod several;

pub use answers::{Answer, Questioned};
pub use batches::Batches;
pub use checkpoint::Checkpoints;
pub use dataset::{Dataset, input};
pub use evaluate::{baseline, logits, metrics};
pub use event::Event;
pub use finetune::finetune;
pub use log::Summary;
pub use optimize::Recipe;
pub use pretrain::{MaskedText, pretrain};
pub use progress::{Progress, Silent};
pub use schedule::Schedule;
pub use select::Select;
pub use several::MaskedUnits;
