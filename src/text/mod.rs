//! From sentences to packed batches: WordPiece and byte-level BPE, the token cache, batches without padding; and for pre-training, from
//! plain text to masked sequences and to a vocabulary.

mod added;
mod batch;
mod build;
mod byte_level;
mod cache;
mod class;
mod corpus;
mod files;
mod growth;
mod identity;
mod masking;
mod names;
mod settings;
mod special_ids;
mod tokenizer;
mod unknown;
mod vocabulary;

pub use batch::Batch;
pub use cache::{encode_cached, windows_cached};
pub use corpus::{Unit, read_text, sequences};
pub use masking::Masking;
pub use special_ids::SpecialIds;
pub use tokenizer::{Encoded, Tokenizer, Window, WindowRules, Windowed};
pub use vocabulary::{TrainedVocabulary, train_vocabulary};
