//! From sentences to packed batches: WordPiece, the token cache, batches without padding; and for pre-training, from
//! plain text to masked sequences and to a vocabulary.

mod batch;
mod cache;
mod corpus;
mod masking;
mod tokenizer;
mod vocabulary;

pub use batch::Batch;
pub use cache::encode_cached;
pub use corpus::{Unit, read_text, sequences};
pub use masking::Masking;
pub use tokenizer::{Encoded, SpecialIds, Tokenizer};
pub use vocabulary::{TrainedVocabulary, train_vocabulary};
