//! Lottery-ticket experiments on pre-trained BERT: fine-tune, score units, search a ticket, rewind, retrain.
//!
//! The rooms, in the order in which they may use each other (downwards only):
//! `cli` → {`report` → `sweep`, `export` → `eval`} → {`experiment` → `config` → `prune`, `events`} → `train` → {`engine` → `model`, `text`} → {`task`, `store`, `hub`} → `ops`,
//! `cores` → `choice` → `shards` → `file`, `content`, `guard` → `error`.

pub mod cli;
pub mod config;
pub mod content;
pub mod cores;
pub mod engine;
pub mod eval;
pub mod events;
pub mod experiment;
pub mod export;
pub mod file;
mod guard;
pub mod hub;
pub mod model;
pub mod prune;
pub mod report;
pub mod shards;
pub mod store;
pub mod sweep;
pub mod task;
pub mod text;
pub mod train;

pub use lottery_ops::{self as ops, choice, error};
