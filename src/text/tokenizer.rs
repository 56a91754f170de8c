//! BERT's WordPiece, read from a model folder as Hugging Face lays it out.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model, TruncationParams, truncate_encodings};

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

/// A WordPiece tokenizer without padding or a truncation of its own.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    hash: String,
    files: Vec<PathBuf>,
}

/// The keys of `tokenizer_config.json` that change the tokens, with BERT's defaults.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    do_lower_case: bool,
    tokenize_chinese_chars: bool,
    strip_accents: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self { do_lower_case: true, tokenize_chinese_chars: true, strip_accents: None }
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
        let tokenizer = Self { inner, hash: hasher.finalize().to_hex().to_string(), files };
        tokenizer.check_layout(&source)?;
        Ok(tokenizer)
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
        if max_length <= special {
            return Err(Error::usage(format!(
                "a sequence length of {max_length} leaves no room for text: [CLS] and [SEP] take {special} tokens. \
                 Set a longer one; 128 is usual."
            )));
        }
        let tokens = |text: &str| self.inner.encode_fast(text, false).map_err(failed);
        let params = TruncationParams { max_length: max_length - special, ..Default::default() };
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
        examples.par_iter().map(|e| self.encode(&e.first, e.second.as_deref(), max_length)).collect()
    }

    /// A tokenizer of another family (byte-pair RoBERTa, say) loads without complaint, but frames its text otherwise.
    fn check_layout(&self, source: &Path) -> Result<()> {
        let wrong = |what: &str| {
            Error::data(format!(
                "{}: {what}. Only BERT's tokenizer is supported, [CLS] first [SEP] second [SEP]; restore the file \
                 from the model's repository, or choose a BERT model.",
                source.display()
            ))
        };
        let id = |token: &str| {
            self.inner.token_to_id(token).ok_or_else(|| wrong(&format!("the token {token} is missing")))
        };
        let (cls, sep) = (id("[CLS]")?, id("[SEP]")?);
        id("[UNK]")?;
        let pair = self.encode("a", Some("a"), 8)?;
        let word = pair.ids.get(1..pair.ids.len() / 2).unwrap_or_default();
        let framed = [&[cls], word, &[sep], word, &[sep]].concat();
        let second = word.len() + 1;
        let segments = [vec![0; second + 1], vec![1; second]].concat();
        match pair.ids == framed && pair.segments == segments {
            true => Ok(()),
            false => Err(wrong("it does not frame a pair with [CLS] and [SEP]")),
        }
    }
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
fn from_vocab(path: &Path, bytes: &[u8], config: &Config) -> Result<tokenizers::Tokenizer> {
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
    let Config { do_lower_case, tokenize_chinese_chars, strip_accents } = *config;
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(
            true,
            tokenize_chinese_chars,
            strip_accents,
            do_lower_case,
        )))
        .map_err(failed)?
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(sep, cls)))
        .add_special_tokens(special)
        .map_err(failed)?;
    Ok(tokenizer)
}

fn failed(error: tokenizers::Error) -> Error {
    Error::internal(format!("the tokenizer failed: {error}"))
}

#[cfg(test)]
mod tests;
