//! Models from the Hugging Face hub, kept in the cache that Python's `huggingface_hub` keeps them in.
//!
//! Nothing that a server answers is believed: what becomes a path is checked in `name`, redirects are followed in
//! `client` so that the token stays with the host that it is for, and a file enters the cache only when its length and
//! its hash are right.

mod backoff;
mod bar;
mod cache;
mod client;
mod env;
mod failure;
mod fetch;
mod hash;
mod lock;
mod model;
mod name;
mod token;

pub use backoff::Network;
pub use env::HubSettings;
pub use model::{ModelFolder, is_on_hub, resolve_model, resolve_model_with};
pub use token::Token;
