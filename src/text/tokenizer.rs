//! BERT's WordPiece, read from a model folder as Hugging Face lays it out.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model, TruncationParams, truncate_encodings};

use crate::cores;
use crate::error::{Error, Result};
use crate::task::Example;

/// The files that make up a tokenizer; those that exist travel with a saved model.
const FILES: [&str; 4] = ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"];

/// `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included, (L).
    pub ids: Vec<u32>,
    /// 0 for the first sentence with its `[CLS]` and `[SEP]`, 1 for the second with its `[SEP]`, (L).
    pub segments: Vec<u8>,
}

/// The ids of BERT's special tokens; a tokenizer may lack the two that fine-tuning does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialIds {
    pub pad: Option<u32>,
    pub unk: u32,
    pub cls: u32,
    pub sep: u32,
    pub mask: Option<u32>,
}

impl SpecialIds {
    pub(super) fn contain(&self, id: u32) -> bool {
        [self.unk, self.cls, self.sep].contains(&id) || [self.pad, self.mask].contains(&Some(id))
    }
}

/// A WordPiece tokenizer without padding or a truncation of its own.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialIds,
    source: PathBuf,
    hash: String,
    files: Vec<PathBuf>,
}

/// The keys of `tokenizer_config.json` that change the tokens, with BERT's defaults.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub do_lower_case: bool,
    pub tokenize_chinese_chars: bool,
    pub strip_accents: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self { do_lower_case: true, tokenize_chinese_chars: true, strip_accents: None }
    }
}

impl Config {
    pub fn normalizer(&self) -> BertNormalizer {
        BertNormalizer::new(true, self.tokenize_chinese_chars, self.strip_accents, self.do_lower_case)
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json`, or else `vocab.txt` with the letter case of `tokenizer_config.json` (lower case
    /// without that file). Truncation and padding set in `tokenizer.json` are dropped.
    ///
    /// # Errors
    /// `Error::Data` naming the file: neither file there, unreadable or damaged, or not BERT's
    /// `[CLS] … [SEP] … [SEP]`.
    pub fn from_folder(dir: &Path) -> Result<Self> {
        let files: Vec<PathBuf> =
            FILES.iter().map(|name| dir.join(name)).filter(|path| path.is_file()).collect();
        let [json, vocab, config] =
            ["tokenizer.json", "vocab.txt", "tokenizer_config.json"].map(|n| dir.join(n));
        let mut hasher = blake3::Hasher::new();
        let mut read = |path: &Path| {
            let bytes = std::fs::read(path).map_err(|error| Error::io(path, "read", &error))?;
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
            Ok(bytes)
        };
        let (source, inner) = if files.contains(&json) {
            let inner = from_json(&json, &read(&json)?)?;
            (json, inner)
        } else if files.contains(&vocab) {
            let words = read(&vocab)?;
            let config = match files.contains(&config) {
                true => serde_json::from_slice(&read(&config)?).map_err(|error| {
                    Error::data(format!("{}: {error}. Restore the model's own file.", config.display()))
                })?,
                false => Config::default(),
            };
            let inner = from_vocab(&vocab, &words, &config)?;
            (vocab, inner)
        } else {
            return Err(Error::data(format!(
                "no tokenizer in {}: neither tokenizer.json nor vocab.txt is there. Copy one of them from the \
                 model's repository into that folder.",
                dir.display()
            )));
        };
        let special = special_ids(&inner, &source)?;
        let hash = hasher.finalize().to_hex().to_string();
        let tokenizer = Self { inner, special, source, hash, files };
        tokenizer.check_layout()?;
        Ok(tokenizer)
    }

    pub fn special_ids(&self) -> SpecialIds {
        self.special
    }

    /// All ids of the vocabulary with added tokens, ascending; there may be gaps.
    pub(super) fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.inner.get_vocab(true).into_values().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The file that the tokens were read from, for messages.
    pub(super) fn source(&self) -> &Path {
        &self.source
    }

    /// The ids of a text by itself, neither framed nor cut.
    pub(super) fn ids_of(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode_fast(text, false).map_err(failed)?.get_ids().to_vec())
    }

    /// One more than the largest token id, so the smallest embedding table that serves.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// BLAKE3 (hex) of the files that decide the tokens.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The tokenizer files of the folder, to be copied beside a saved model.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// At most `max_length` tokens with the special ones. A pair is cut `longest_first`: from the end of the longer
    /// sentence until both are equally long, then from both in turn. Where both are cut and the room is odd, the odd
    /// token stays with the sentence that was longer, with the second if neither was: so do Hugging Face's fast
    /// tokenizers, whereas their Python tokenizers of 2020 left it to the first in either case.
    ///
    /// # Errors
    /// `Error::Usage` if `max_length` leaves no room beside the special tokens.
    pub fn encode(&self, first: &str, second: Option<&str>, max_length: usize) -> Result<Encoded> {
        let special = if second.is_some() { 3 } else { 2 };
        let room = room(max_length, special)?;
        let tokens = |text: &str| self.inner.encode_fast(text, false).map_err(failed);
        let params = TruncationParams { max_length: room, ..Default::default() };
        let (first, second) =
            truncate_encodings(tokens(first)?, second.map(tokens).transpose()?, &params).map_err(failed)?;
        let whole = self.inner.post_process(first, second, true).map_err(failed)?;
        Ok(Encoded {
            ids: whole.get_ids().to_vec(),
            segments: whole.get_type_ids().iter().map(|&segment| segment as u8).collect(),
        })
    }

    /// [`Self::encode`] for every example, in order, on all threads.
    pub fn encode_all(&self, examples: &[Example], max_length: usize) -> Result<Vec<Encoded>> {
        let encode = |e: &Example| self.encode(&e.first, e.second.as_deref(), max_length);
        cores::compute(|| examples.par_iter().map(encode).collect())
    }

    /// A tokenizer of another family (byte-pair RoBERTa, say) loads without complaint, but frames its text otherwise.
    fn check_layout(&self) -> Result<()> {
        let SpecialIds { cls, sep, .. } = self.special;
        let pair = self.encode("a", Some("a"), 8)?;
        let word = pair.ids.get(1..pair.ids.len() / 2).unwrap_or_default();
        let framed = [&[cls], word, &[sep], word, &[sep]].concat();
        let second = word.len() + 1;
        let segments = [vec![0; second + 1], vec![1; second]].concat();
        match pair.ids == framed && pair.segments == segments {
            true => Ok(()),
            false => Err(not_bert(&self.source, "it does not frame a pair with [CLS] and [SEP]")),
        }
    }
}

/// How many tokens of text fit beside `special` special ones.
pub(super) fn room(max_length: usize, special: usize) -> Result<usize> {
    max_length.checked_sub(special).filter(|room| *room > 0).ok_or_else(|| {
        Error::usage(format!(
            "a sequence length of {max_length} leaves no room for text: [CLS] and [SEP] take {special} tokens. Set \
             a longer one; 128 is usual."
        ))
    })
}

fn special_ids(inner: &tokenizers::Tokenizer, source: &Path) -> Result<SpecialIds> {
    let id = |token: &str| {
        let missing = || not_bert(source, &format!("the token {token} is missing"));
        inner.token_to_id(token).ok_or_else(missing)
    };
    let [pad, mask] = ["[PAD]", "[MASK]"].map(|token| inner.token_to_id(token));
    Ok(SpecialIds { cls: id("[CLS]")?, sep: id("[SEP]")?, unk: id("[UNK]")?, pad, mask })
}

fn not_bert(source: &Path, what: &str) -> Error {
    Error::data(format!(
        "{}: {what}. Only BERT's tokenizer is supported, [CLS] first [SEP] second [SEP]; restore the file from the \
         model's repository, or choose a BERT model.",
        source.display()
    ))
}

fn from_json(path: &Path, bytes: &[u8]) -> Result<tokenizers::Tokenizer> {
    let damaged = |error: tokenizers::Error| {
        Error::data(format!("{}: {error}. Restore the file from the model's repository.", path.display()))
    };
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(damaged)?;
    tokenizer.with_truncation(None).map_err(damaged)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// One token a line; the line number from 0 is the id.
pub(super) fn from_vocab(path: &Path, bytes: &[u8], config: &Config) -> Result<tokenizers::Tokenizer> {
    let bad = |what: String| {
        Error::data(format!("{}: {what}. Restore the file from the model's repository.", path.display()))
    };
    let failed = |error: tokenizers::Error| bad(error.to_string());
    let vocab = WordPiece::read_bytes(bytes).map_err(failed)?;
    let model = WordPiece::builder().vocab(vocab).build().map_err(failed)?;
    let id = |token: &str| {
        let id = model.token_to_id(token).ok_or_else(|| bad(format!("the token {token} is missing")))?;
        Ok((token.to_owned(), id))
    };
    let (cls, sep) = (id("[CLS]")?, id("[SEP]")?);
    id("[UNK]")?;
    let special: Vec<AddedToken> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .into_iter()
        .filter(|token| model.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(config.normalizer()))
        .map_err(failed)?
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(sep, cls)))
        .add_special_tokens(special)
        .map_err(failed)?;
    Ok(tokenizer)
}

pub(super) fn failed(error: tokenizers::Error) -> Error {
    Error::internal(format!("the tokenizer failed: {error}"))
}

#[cfg(test)]
mod tests;
