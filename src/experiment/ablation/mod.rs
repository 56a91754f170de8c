//! Ablations of a fine-tuned model (Prasanna et al. 2020, `experiments/` of their code): parts of it are drawn at random,
//! reverted to their pre-trained values, zeroed or pruned, and what is left is evaluated without training.

mod apply;
mod condition;
mod published;

pub use apply::Change;
pub use condition::{Condition, How, Part};
pub use published::published;
