//! BERT (Devlin et al. 2019) and its like written once, their forward and backward passes side by side.

pub(crate) mod activations;
mod attention_block;
pub(crate) mod backend;
pub mod bert;
mod classifier;
pub mod config;
mod cpu;
mod embeddings;
mod encoder;
pub mod family;
mod ffn_block;
mod fit;
mod folder;
pub mod gates;
mod masked_lm;
pub mod memory;
pub mod params;
pub(crate) mod pass;
mod several;
pub mod shape;
pub mod shrink;
mod spans;
pub mod storage;
mod supported;
pub mod tensors;
pub mod tiny;
pub mod weights;
mod wrapper;

pub use bert::{Bert, Workspace};
pub use config::BertConfig;
pub use gates::{GateGradients, Gates};
pub use params::{Head, Params};
pub use pass::{Input, Pass, Wanted};
pub use shape::{Ffn, LayerShape};
pub use supported::TICKET_CLASSES;
