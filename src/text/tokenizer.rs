//! BERT's WordPiece or RoBERTa's byte-level BPE, read from a model folder as Hugging Face lays it out.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::{NormalizedString, Normalizer, TruncationDirection, TruncationParams, truncate_encodings};

use super::build::{build, not_bert};
use super::class::Class;
use super::files::{BPE_VOCAB, Files, JSON, VOCAB};
use super::identity::hash;
use super::settings::Settings;
use super::special_ids::SpecialIds;
use crate::cores;
use crate::error::{Error, Result};
use crate::guard::catch_panic;
use crate::task::Example;

/// `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]`; of RoBERTa `<s> first </s>` or `<s> first </s></s> second </s>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included, (L).
    pub ids: Vec<u32>,
    /// 0 for the first sentence with its `[CLS]` and `[SEP]`, 1 for the second with its `[SEP]`, (L); all 0 of RoBERTa.
    pub segments: Vec<u8>,
}

/// The special tokens of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Bert,
    /// Two separators between the sentences, and no segments
    Roberta,
}

impl Frame {
    fn special(self, is_pair: bool) -> usize {
        match (self, is_pair) {
            (_, false) => 2,
            (Self::Bert, true) => 3,
            (Self::Roberta, true) => 4,
        }
    }
}

/// A tokenizer without padding or a truncation of its own.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialIds,
    /// Ids of special tokens that no file has.
    implied: Vec<u32>,
    cut_left: bool,
    segments: bool,
    frame: Frame,
    source: PathBuf,
    hash: String,
    note: Option<String>,
    files: Files,
}

impl Tokenizer {
    /// Reads the folder as transformers 5 does: the vocabulary of `tokenizer.json`, or else of `vocab.txt`, or of
    /// `vocab.json` and `merges.txt` for RoBERTa; letter case,
    /// special and added tokens of `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`; and
    /// `tokenizer.json` as it is where the `tokenizer_class` is `PreTrainedTokenizerFast`. Truncation to a length and
    /// padding set in `tokenizer.json` are dropped.
    ///
    /// Segments are BERT's also for `PreTrainedTokenizerFast`, where transformers 5 leaves them out by default; they are
    /// all 0 where `model_input_names` in the config, or the class `DistilBertTokenizer`, leaves them out.
    ///
    /// # Errors
    /// `Error::Data` naming the file: neither vocabulary there, unreadable or damaged, of another class, or neither
    /// BERT's `[CLS] … [SEP] … [SEP]` nor RoBERTa's `<s> … </s></s> … </s>`.
    pub fn from_folder(dir: &Path) -> Result<Self> {
        let files = Files::read(dir)?;
        let Some(name) = [JSON, VOCAB, BPE_VOCAB].into_iter().find(|name| files.get(name).is_some()) else {
            return Err(Error::data(format!(
                "no tokenizer in {}: it contains neither tokenizer.json nor vocab.txt, nor vocab.json and merges.txt. Copy one \
                 of them from the model's repository into that folder.",
                dir.display()
            )));
        };
        let settings = Settings::read(&files)?;
        // Which of the two others lies beside tokenizer.json does not matter.
        let name = match (name, settings.class) {
            (VOCAB | BPE_VOCAB, Class::Roberta) => BPE_VOCAB,
            (VOCAB | BPE_VOCAB, _) => VOCAB,
            (name, _) => name,
        };
        if files.get(name).is_none() {
            return Err(Error::data(format!(
                "{}: its tokenizer_class or model_type asks for {name}, which is not there. Copy it from the model's \
                 repository.",
                dir.display()
            )));
        }
        let read = || {
            let built = build(&files, &settings)?;
            let hash = hash(&files, &settings, &built);
            Ok((built, hash))
        };
        let (built, hash) =
            catch_panic("tokenizers", read).map_err(|panic| files.damaged(name, &panic))??;
        let mut tokenizer = Self {
            frame: if settings.class == Class::Roberta { Frame::Roberta } else { Frame::Bert },
            inner: built.inner,
            special: built.special,
            implied: built.implied,
            cut_left: settings.cut_left,
            segments: settings.segments,
            source: files.path(name),
            hash,
            note: built.note,
            files,
        };
        tokenizer.frame = tokenizer.found_frame(name)?;
        tokenizer.segments &= tokenizer.frame == Frame::Bert;
        Ok(tokenizer)
    }

    pub fn special_ids(&self) -> SpecialIds {
        self.special
    }

    /// All ids of the vocabulary with added tokens, ascending; there may be gaps.
    pub(super) fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> =
            self.inner.get_vocab(true).into_values().filter(|id| !self.implied.contains(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The file that the vocabulary was read from, for messages.
    pub(super) fn source(&self) -> &Path {
        &self.source
    }

    /// The ids of a text without special tokens or truncation.
    pub(super) fn ids_of(&self, text: &str) -> Result<Vec<u32>> {
        self.catch_panic(|| Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec()))
    }

    /// One more than the largest id that the files give a token, so the smallest embedding table that serves. A text with
    /// a special token that no file has (`[MASK]`, say) gets a larger id, as in transformers.
    pub fn vocab_size(&self) -> usize {
        self.ids().last().map_or(0, |&id| id as usize + 1)
    }

    /// BLAKE3 (hex) of the files that decide the tokens.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The tokenizer's files as they were read, by name, to be copied beside a saved model.
    pub fn files(&self) -> &[(&'static str, Vec<u8>)] {
        self.files.own()
    }

    /// A note for the user about these files, if any.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Whether normalisation keeps upper case.
    pub(super) fn keeps_upper_case(&self) -> bool {
        let Some(normalizer) = self.inner.get_normalizer() else { return true };
        let mut text = NormalizedString::from("Aa");
        matches!(catch_panic("tokenizers", || normalizer.normalize(&mut text)), Ok(Ok(())))
            && text.get().contains('A')
    }

    /// Whether at least 1 % of the words in the vocabulary contain upper case.
    pub(super) fn has_upper_case(&self) -> bool {
        let added = self.inner.get_added_vocabulary().get_vocab();
        let words = self.inner.get_vocab(false);
        let upper = |word: &String| !added.contains_key(word) && word.contains(char::is_uppercase);
        100 * words.keys().filter(|word| upper(word)).count() >= words.len()
    }

    /// At most `max_length` tokens with the special ones. A pair is cut `longest_first`: from the end of the longer
    /// sentence until both are equally long, then from both in turn. Where both are cut and the room is odd, the odd
    /// token stays with the sentence that was longer, with the second if neither was: so do Hugging Face's fast
    /// tokenizers, whereas their Python tokenizers of 2020 left it to the first in either case.
    ///
    /// With `truncation_side` left in the config, sentences lose their beginnings instead.
    ///
    /// # Errors
    /// `Error::Usage` if `max_length` leaves no room beside the special tokens, `Error::Data` if the file that the
    /// tokenizer was read from turns out to be damaged.
    pub fn encode(&self, first: &str, second: Option<&str>, max_length: usize) -> Result<Encoded> {
        let mut encoded = self.framed(first, second, max_length)?;
        if !self.segments {
            encoded.segments.fill(0);
        }
        Ok(encoded)
    }

    fn framed(&self, first: &str, second: Option<&str>, max_length: usize) -> Result<Encoded> {
        let room = room(max_length, self.frame.special(second.is_some()))?;
        let direction = if self.cut_left { TruncationDirection::Left } else { TruncationDirection::Right };
        self.catch_panic(|| {
            let tokens = |text: &str| self.inner.encode_fast(text, false);
            let params = TruncationParams { max_length: room, direction, ..Default::default() };
            let (first, second) =
                truncate_encodings(tokens(first)?, second.map(tokens).transpose()?, &params)?;
            let whole = self.inner.post_process(first, second, true)?;
            Ok(Encoded {
                ids: whole.get_ids().to_vec(),
                segments: whole.get_type_ids().iter().map(|&segment| segment as u8).collect(),
            })
        })
    }

    /// A failure of the library, whether an error or a panic, is one of the file.
    fn catch_panic<T>(&self, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
        let outcome =
            catch_panic("tokenizers", work).and_then(|done| done.map_err(|error| error.to_string()));
        outcome.map_err(|what| {
            Error::data(format!(
                "{}: tokenizing this text failed: {what}. Restore the file from the model's repository.",
                self.source.display()
            ))
        })
    }

    /// [`Self::encode`] for every example, in order, on all threads.
    pub fn encode_all(&self, examples: &[Example], max_length: usize) -> Result<Vec<Encoded>> {
        let encode = |e: &Example| self.encode(&e.first, e.second.as_deref(), max_length);
        cores::compute(|| examples.par_iter().map(encode).collect())
    }

    /// How the library frames sentences; a tokenizer of another family loads without complaint, but frames them
    /// otherwise.
    fn found_frame(&self, name: &str) -> Result<Frame> {
        let SpecialIds { cls, sep, .. } = self.special;
        let pair = self.framed("a", Some("a"), 9)?;
        let one = self.framed("a", None, 9)?;
        let word = one.ids.get(1..one.ids.len().max(2) - 1).unwrap_or_default();
        let is_framed = |between: &[u32], second: u8| {
            let framed = [&[cls], word, between, word, &[sep]].concat();
            let first = word.len() + between.len() + 1;
            let segments = [vec![0; first], vec![second; word.len() + 1]].concat();
            pair.ids == framed && pair.segments == segments
        };
        let frame = match (is_framed(&[sep], 1), is_framed(&[sep, sep], 0)) {
            (true, _) => Frame::Bert,
            (_, true) => Frame::Roberta,
            _ => return Err(not_bert(&self.files, name, "it does not frame a pair with [CLS] and [SEP]")),
        };
        match one.ids == [&[cls], word, &[sep]].concat() && one.segments.iter().all(|segment| *segment == 0) {
            true => Ok(frame),
            false => Err(not_bert(&self.files, name, "it does not frame a sentence with [CLS] and [SEP]")),
        }
    }
}

/// How many tokens of text fit beside `special` special ones.
pub(super) fn room(max_length: usize, special: usize) -> Result<usize> {
    max_length.checked_sub(special).filter(|room| *room > 0).ok_or_else(|| {
        Error::usage(format!(
            "a sequence length of {max_length} leaves no room for text: [CLS] and [SEP] take {special} tokens. Choose a \
             longer one, such as 128."
        ))
    })
}

mod windows;
pub use windows::{Window, WindowRules, Windowed};

#[cfg(test)]
mod damage;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod tests;
