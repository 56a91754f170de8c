//! Training a WordPiece vocabulary on the text for pre-training.
//!
//! Training is by frequency, as in Hugging Face's `WordPieceTrainer`: words are split into characters, and the most
//! frequent pair of neighbours becomes a token until there are enough. That trainer walks through hash maps, so that
//! its ids, and with them its ties, differ from run to run; here everything has an order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use serde_json::json;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::build::from_vocab;
use super::settings::Case;
use crate::cores;
use crate::error::{Error, Result};
use crate::store::atomic_write;

/// Ids 0 to 4.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// A pair seen less often makes no token.
const MIN_FREQUENCY: u64 = 2;
/// WordPiece turns longer words into `[UNK]`, so they are skipped.
const MAX_WORD_CHARS: usize = 100;

/// Large texts contain many rare characters; the same limit as in Hugging Face's `BertWordPieceTokenizer`.
const MAX_CHARACTERS: usize = 1000;

/// A trained vocabulary, and what is needed to use it as a BERT tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedVocabulary {
    /// By id: the special tokens, the characters, `##` with the characters that go on a word, then what was merged.
    tokens: Vec<String>,
    lowercase: bool,
}

/// Trains on the lines, on all threads; the outcome depends on how often each word occurs and on nothing else.
///
/// # Errors
/// `Error::Usage` if `size` is less than the characters take or more than the lines support, with the limit;
/// `Error::Data` if there is no word.
pub fn train_vocabulary(lines: &[&str], size: usize, lowercase: bool) -> Result<TrainedVocabulary> {
    let words = count_words(lines, lowercase)?;
    if words.is_empty() {
        return Err(Error::data(
            "the text contains no words to train a vocabulary on. Give a text file to pre-train on.",
        ));
    }
    let words = of_common_characters(words);
    let mut tokens = characters(words.keys());
    if size < tokens.len() {
        return Err(Error::usage(format!(
            "a vocabulary of {size} tokens is too small: the special tokens and the characters in the text need {least}. \
             Use --vocab-size {least} or more.",
            least = tokens.len()
        )));
    }
    let mut ids: HashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let mut merges = Merges::new(&words, &ids);
    while tokens.len() < size {
        let Some(pair) = merges.most_frequent() else {
            return Err(Error::usage(format!(
                "a vocabulary of {size} tokens is too large: the text supports {most}. Use --vocab-size {most} or less, or \
                 more text.",
                most = tokens.len()
            )));
        };
        let [first, second] = [pair.0, pair.1].map(|id| tokens[id as usize].as_str());
        let merged = format!("{first}{}", second.strip_prefix("##").unwrap_or(second));
        // The same token may come of two pairs: "un" + "##it" and "uni" + "##t".
        let id = *ids.entry(merged).or_insert_with_key(|merged| {
            tokens.push(merged.clone());
            tokens.len() as u32 - 1
        });
        merges.apply(pair, id);
    }
    Ok(TrainedVocabulary { tokens, lowercase })
}

impl TrainedVocabulary {
    /// The files of a Hugging Face tokenizer folder, by name. `max_length` is the model's number of positions.
    pub fn files(&self, max_length: usize) -> Result<[(&'static str, Vec<u8>); 3]> {
        let vocab: String = self.tokens.iter().flat_map(|token| [token, "\n"]).collect();
        let tokenizer = from_vocab(vocab.as_bytes(), case(self.lowercase)).map_err(failed)?;
        let [pad, unk, cls, sep, mask] = SPECIAL;
        let config = json!({
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lowercase,
            "strip_accents": null,
            "tokenize_chinese_chars": true,
            "model_max_length": max_length,
            "pad_token": pad, "unk_token": unk, "cls_token": cls, "sep_token": sep, "mask_token": mask,
        });
        Ok([
            ("tokenizer.json", tokenizer.to_string(true).map_err(failed)?.into_bytes()),
            ("vocab.txt", vocab.into_bytes()),
            ("tokenizer_config.json", format!("{config:#}\n").into_bytes()),
        ])
    }

    /// Writes [`Self::files`] into the folder.
    ///
    /// # Errors
    /// `Error::Data` if the folder cannot be written.
    pub fn save(&self, dir: &Path, max_length: usize) -> Result<()> {
        self.files(max_length)?.iter().try_for_each(|(name, bytes)| atomic_write(&dir.join(name), bytes))
    }
}

fn case(lowercase: bool) -> Case {
    Case { do_lower_case: lowercase, ..Case::default() }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::internal(format!("the tokenizer failed: {error}"))
}

/// The words as BERT normalises and splits them, with how often each occurs.
fn count_words(lines: &[&str], lowercase: bool) -> Result<BTreeMap<String, u64>> {
    let normalizer = case(lowercase).normalizer();
    let count = |mut counts: BTreeMap<String, u64>, line: &&str| {
        let mut normalized = NormalizedString::from(*line);
        normalizer.normalize(&mut normalized).map_err(failed)?;
        let mut words = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(failed)?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            if word.chars().nth(MAX_WORD_CHARS).is_none() {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
        Ok(counts)
    };
    let sum = |mut a: BTreeMap<String, u64>, b| {
        for (word, count) in b {
            *a.entry(word).or_default() += count;
        }
        Ok(a)
    };
    cores::compute(|| lines.par_iter().try_fold(BTreeMap::new, count).try_reduce(BTreeMap::new, sum))
}

/// The words without those that have a character beyond the [`MAX_CHARACTERS`] most frequent ones: they will be
/// `[UNK]`.
fn of_common_characters(mut words: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in &words {
        word.chars().for_each(|c| *counts.entry(c).or_default() += count);
    }
    if counts.len() > MAX_CHARACTERS {
        let mut common: Vec<(char, u64)> = counts.into_iter().collect();
        common.sort_by_key(|(c, count)| (Reverse(*count), *c));
        let common: BTreeSet<char> = common[..MAX_CHARACTERS].iter().map(|(c, _)| *c).collect();
        words.retain(|word, _| word.chars().all(|c| common.contains(&c)));
    }
    words
}

/// The tokens before any merge. Every character is one also without `##`, whether or not it begins a word.
fn characters<'a>(words: impl Iterator<Item = &'a String>) -> Vec<String> {
    let (mut all, mut inner) = (BTreeSet::new(), BTreeSet::new());
    for word in words {
        all.extend(word.chars());
        inner.extend(word.chars().skip(1));
    }
    let all = all.into_iter().map(String::from);
    let inner = inner.into_iter().map(|c| format!("##{c}"));
    SPECIAL.map(String::from).into_iter().chain(all).chain(inner).collect()
}

type Pair = (u32, u32);

/// The words as they are split so far, and the pairs of neighbours in them.
struct Merges {
    words: Vec<(Vec<u32>, u64)>,
    /// How often each pair occurs, and the words where it was seen (some may have lost it since). Looked up, never
    /// walked through to an effect: its order is random.
    pairs: HashMap<Pair, (u64, Vec<u32>)>,
    /// The most frequent pair first, on ties the one of smaller ids. A count may be out of date.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Merges {
    fn new(words: &BTreeMap<String, u64>, ids: &HashMap<String, u32>) -> Self {
        let split = |word: &str| -> Vec<u32> {
            let mut buffer = String::new();
            let id = |(place, c)| {
                buffer.clear();
                buffer.push_str(if place == 0 { "" } else { "##" });
                buffer.push(c);
                ids[&buffer]
            };
            word.chars().enumerate().map(id).collect()
        };
        let words: Vec<_> = words.iter().map(|(word, count)| (split(word), *count)).collect();
        let mut pairs: HashMap<Pair, (u64, Vec<u32>)> = HashMap::new();
        for (index, (symbols, count)) in (0..).zip(&words) {
            for pair in neighbours(symbols) {
                let (total, places) = pairs.entry(pair).or_default();
                *total += count;
                places.push(index);
            }
        }
        let queue = pairs.iter().map(|(pair, (count, _))| (*count, Reverse(*pair))).collect();
        Self { words, pairs, queue }
    }

    /// `None` when no pair is frequent enough.
    fn most_frequent(&mut self) -> Option<Pair> {
        loop {
            let (count, Reverse(pair)) = self.queue.pop()?;
            let now = self.pairs.get(&pair).map_or(0, |(count, _)| *count);
            if now >= MIN_FREQUENCY && now == count {
                return Some(pair);
            }
            // A pair that became more frequent was queued again when it did.
            if now >= MIN_FREQUENCY && now < count {
                self.queue.push((now, Reverse(pair)));
            }
        }
    }

    /// Puts the token `merged` where the pair stands.
    fn apply(&mut self, pair: Pair, merged: u32) {
        let (_, mut places) = self.pairs.remove(&pair).unwrap_or_default();
        places.dedup();
        let mut grown = BTreeSet::new();
        for index in places {
            let (symbols, count) = &mut self.words[index as usize];
            if !neighbours(symbols).any(|other| other == pair) {
                continue;
            }
            for other in neighbours(symbols) {
                if let Some((total, _)) = self.pairs.get_mut(&other) {
                    *total -= *count;
                }
            }
            join(symbols, pair, merged);
            for other in neighbours(symbols) {
                let (total, places) = self.pairs.entry(other).or_default();
                *total += *count;
                if other.0 == merged || other.1 == merged {
                    places.push(index);
                    grown.insert(other);
                }
            }
        }
        self.queue.extend(grown.iter().map(|pair| (self.pairs[pair].0, Reverse(*pair))));
    }
}

fn neighbours(symbols: &[u32]) -> impl Iterator<Item = Pair> {
    symbols.windows(2).map(|window| (window[0], window[1]))
}

/// From the left: of three alike, the first two are joined.
fn join(symbols: &mut Vec<u32>, pair: Pair, merged: u32) {
    let mut kept = 0;
    let mut next = 0;
    while next < symbols.len() {
        let joined = symbols.get(next..next + 2) == Some(&[pair.0, pair.1]);
        symbols[kept] = if joined { merged } else { symbols[next] };
        kept += 1;
        next += if joined { 2 } else { 1 };
    }
    symbols.truncate(kept);
}

#[cfg(test)]
mod tests;
