//! BERT (Devlin et al. 2019) written once, its forward and backward passes side by side.

pub mod attention_block;
pub mod bert;
pub mod classifier;
pub mod config;
pub mod embeddings;
pub mod ffn_block;
pub mod gates;
pub mod params;
pub mod shrink;
pub mod weights;

pub use bert::{Bert, Input, Pass, Wanted, Workspace};
pub use config::BertConfig;
pub use gates::{GateGradients, Gates};
pub use params::{LayerShape, Params};
