//! From sentences to packed batches: WordPiece, the token cache, batches without padding.

mod batch;
mod cache;
mod tokenizer;

pub use batch::Batch;
pub use cache::encode_cached;
pub use tokenizer::{Encoded, Tokenizer};
