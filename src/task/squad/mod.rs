//! SQuAD v1.1 (Rajpurkar et al. 2016): the answer to a question is a span of a paragraph.

mod files;
mod gathered;
mod json;
mod parquet;
mod questions;
mod score;

pub use files::{hashes, load, load_dev};
pub use json::parse;
pub use questions::{Question, Questions, SquadData};
pub use score::{Scores, normalised};
