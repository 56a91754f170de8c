//! Models and data sets from the Hugging Face hub, in the same cache as Python's `huggingface_hub`.
//!
//! No response of a server is trusted: names that become paths are checked in `name`, redirects are followed in
//! `client` so that the token is sent only to the host it is for, and a file enters the cache only if its length and
//! hash are right.

mod backoff;
mod bar;
mod cache;
mod client;
mod dataset;
mod env;
mod failure;
mod fetch;
mod hash;
mod lock;
mod model;
mod name;
mod reach;
mod repository;
mod token;
mod weights;

pub use backoff::Network;
pub use dataset::{fault, resolve_dataset};
pub use env::HubSettings;
pub use model::{ModelFolder, is_on_hub, resolve_model, resolve_model_with};
pub use reach::reach;
pub use repository::Snapshot;
pub use token::Token;
