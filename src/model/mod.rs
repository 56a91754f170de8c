//! BERT (Devlin et al. 2019) written once, its forward and backward passes side by side.

pub mod attention_block;
pub mod bert;
pub mod classifier;
pub mod config;
pub mod embeddings;
pub mod encoder;
pub mod ffn_block;
mod fit;
mod folder;
pub mod gates;
pub mod masked_lm;
pub mod memory;
pub mod params;
pub mod shape;
pub mod shrink;
mod supported;
pub mod tensors;
pub mod tiny;
pub mod weights;

pub use bert::{Bert, Workspace};
pub use config::BertConfig;
pub use encoder::{Input, Pass, Wanted};
pub use gates::{GateGradients, Gates};
pub use params::{Head, Params};
pub use shape::{Ffn, LayerShape};
