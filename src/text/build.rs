//! From a folder's files and settings to a tokenizer of the `tokenizers` library.

use serde_json::json;
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Model};

use super::SpecialIds;
use super::added::tokens_to_add;
use super::byte_level::byte_level;
use super::class::Class;
use super::files::{BPE_VOCAB, CONFIG, Files, JSON, SPECIAL_MAP, VOCAB};
use super::growth::{MAX_GROWTH, max_growth};
use super::settings::{Case, Settings};
use crate::error::{Error, Result};

/// transformers gives ids as signed numbers; above that the library's own arithmetic would overflow.
const MAX_ID: u32 = i32::MAX as u32;

/// The time for a word grows with the square of its length, so that a text without spaces would never end.
const MAX_WORD: usize = 1000;

/// The tokenizer of a folder.
pub(super) struct Built {
    pub inner: tokenizers::Tokenizer,
    pub special: SpecialIds,
    /// Ids of special tokens that no file has; transformers adds them after the vocabulary.
    pub implied: Vec<u32>,
    /// What earlier versions made of the folder.
    pub earlier: Option<tokenizers::Tokenizer>,
    /// What of `tokenizer.json` does not count.
    pub note: Option<String>,
}

/// # Errors
/// `Error::Data` naming the file: damaged, without a special token, or with what is not supported.
pub(super) fn build(files: &Files, settings: &Settings) -> Result<Built> {
    let (name, parsed, earlier) = match files.get(JSON) {
        Some(bytes) => {
            let parsed = from_json(files, bytes)?;
            (JSON, Some(parsed.clone()), Some(parsed))
        }
        None if settings.class == Class::Roberta => (BPE_VOCAB, None, None),
        None => {
            let words = files.get(VOCAB).unwrap_or_default();
            (VOCAB, None, from_vocab(words, settings.case).ok())
        }
    };
    let mut inner = match (settings.class, parsed) {
        (Class::Fast, Some(parsed)) => checked_fast(files, parsed)?,
        (Class::Roberta, parsed) => byte_level(files, settings, parsed.as_ref())?,
        (_, parsed) => bert(files, settings, name, parsed.as_ref())?,
    };
    check_ids(files, name, &inner)?;
    let ids = Ids { files, settings, name, inner: &inner };
    let (cls, sep) = (ids.needed("cls_token", "[CLS]")?, ids.needed("sep_token", "[SEP]")?);
    let unk = ids.unk()?;
    match settings.class {
        Class::Bert | Class::DistilBert => {
            inner.with_post_processor(Some(BertProcessing::new(sep.clone(), cls.clone())));
        }
        Class::Roberta => {
            inner.with_post_processor(Some(RobertaProcessing::new(sep.clone(), cls.clone())));
        }
        Class::Fast => {}
    }
    let existing: Vec<AddedToken> = inner.get_added_tokens_decoder().into_values().collect();
    let add = tokens_to_add(&existing, &settings.described, &settings.named(), &settings.extra);
    inner.add_tokens(add).map_err(|error| files.damaged(name, &error.to_string()))?;
    inner.set_encode_special_tokens(settings.split_special);

    let written = |token: &str| {
        inner.get_model().token_to_id(token).is_some()
            || settings.described.iter().any(|described| described.content == token)
            || existing.iter().any(|added| added.content == token)
    };
    let optional = |key, default| {
        let token = settings.name(key).or((settings.class == Class::Fast).then_some(default));
        token.and_then(|token| Some((written(token), inner.token_to_id(token)?)))
    };
    let (pad, mask) = (optional("pad_token", "[PAD]"), optional("mask_token", "[MASK]"));
    let id = |found: Option<(bool, u32)>| found.filter(|(written, _)| *written).map(|(_, id)| id);
    let special = SpecialIds { pad: id(pad), unk, cls: cls.1, sep: sep.1, mask: id(mask) };
    let implied =
        [pad, mask].into_iter().flatten().filter(|(written, _)| !written).map(|(_, id)| id).collect();
    let note = earlier
        .as_ref()
        .filter(|_| name == JSON && matches!(settings.class, Class::Bert | Class::DistilBert))
        .and_then(|json| disagreement(files, json, settings.case));
    // Earlier versions had no other class.
    let earlier = earlier.filter(|_| settings.class != Class::Roberta);
    Ok(Built { inner, special, implied, earlier, note })
}

fn from_json(files: &Files, bytes: &[u8]) -> Result<tokenizers::Tokenizer> {
    let damaged = |error: tokenizers::Error| files.damaged(JSON, &error.to_string());
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(damaged)?;
    tokenizer.with_truncation(None).map_err(damaged)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// A `tokenizer.json` that counts as a whole.
fn checked_fast(files: &Files, tokenizer: tokenizers::Tokenizer) -> Result<tokenizers::Tokenizer> {
    let unsupported = |what: String| Err(files.damaged(JSON, &what));
    match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) if model.max_input_chars_per_word > MAX_WORD => unsupported(format!(
            "max_input_chars_per_word is {}, and more than {MAX_WORD} is not supported",
            model.max_input_chars_per_word
        )),
        ModelWrapper::BPE(model) if model.dropout.is_some_and(|rate| rate > 0.0) => {
            unsupported("its model has dropout, so that a text has other tokens each time".into())
        }
        _ => {
            let rules = json!([tokenizer.get_normalizer(), tokenizer.get_pre_tokenizer()]);
            match max_growth(&rules[0]) * max_growth(&rules[1]) {
                factor if factor > MAX_GROWTH => unsupported(format!(
                    "its normalizer and pre_tokenizer can make a text {factor:.0e} times as long, and {MAX_GROWTH} times is the \
                     limit"
                )),
                _ => Ok(tokenizer),
            }
        }
    }
}

/// transformers' `BertTokenizer`: the vocabulary is all it takes from the file.
fn bert(
    files: &Files,
    settings: &Settings,
    name: &str,
    parsed: Option<&tokenizers::Tokenizer>,
) -> Result<tokenizers::Tokenizer> {
    let mut model = match parsed.map(|tokenizer| tokenizer.get_model()) {
        Some(ModelWrapper::WordPiece(model)) => model.clone(),
        Some(other) => {
            return Err(Error::data(format!(
                "{}: model.type is {:?}, and BERT's tokenizer is WordPiece. Choose a BERT model.",
                files.path(name).display(),
                kind(other)
            )));
        }
        None => {
            let words = files.get(VOCAB).unwrap_or_default();
            let vocab =
                WordPiece::read_bytes(words).map_err(|error| files.damaged(name, &error.to_string()))?;
            WordPiece::builder()
                .vocab(vocab)
                .build()
                .map_err(|error| files.damaged(name, &error.to_string()))?
        }
    };
    if model.get_vocab_size() == 0 {
        return Err(files.damaged(name, "its vocabulary is empty"));
    }
    let like_new = WordPiece::default();
    model.unk_token = settings.name("unk_token").unwrap_or_default().to_owned();
    model.continuing_subword_prefix = like_new.continuing_subword_prefix;
    model.max_input_chars_per_word = like_new.max_input_chars_per_word;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(settings.case.normalizer()))
        .map_err(|error| files.damaged(name, &error.to_string()))?
        .with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(tokenizer)
}

/// The value of `model.type` in `tokenizer.json`.
pub(super) fn kind(model: &ModelWrapper) -> &'static str {
    match model {
        ModelWrapper::BPE(_) => "BPE",
        ModelWrapper::Unigram(_) => "Unigram",
        ModelWrapper::WordLevel(_) => "WordLevel",
        ModelWrapper::WordPiece(_) => "WordPiece",
    }
}

fn check_ids(files: &Files, name: &str, tokenizer: &tokenizers::Tokenizer) -> Result<()> {
    match tokenizer.get_vocab(true).into_iter().find(|(_, id)| *id > MAX_ID) {
        Some((token, id)) => Err(files.damaged(
            name,
            &format!("the token {:?} has the id {id}, and {MAX_ID} is the largest", shortened(&token)),
        )),
        None => Ok(()),
    }
}

fn shortened(token: &str) -> String {
    token.chars().take(50).collect()
}

/// Finds the special tokens that BERT cannot do without.
struct Ids<'a> {
    files: &'a Files,
    settings: &'a Settings,
    name: &'static str,
    inner: &'a tokenizers::Tokenizer,
}

impl Ids<'_> {
    /// The token of this key with its id.
    fn needed(&self, key: &str, default: &str) -> Result<(String, u32)> {
        let token = match (self.settings.name(key), self.settings.class) {
            (Some(token), _) => token,
            (None, Class::Fast) => default,
            (None, _) => return Err(self.files.damaged(CONFIG, &format!("{key} is null"))),
        };
        // transformers would read the name as a template.
        if token != default && token.contains(|c: char| c.is_whitespace() || c == ':' || c == '$') {
            return Err(self.files.damaged(
                CONFIG,
                &format!(
                    "{key} is {:?}, and a name with spaces, ':' or '$' is not supported",
                    shortened(token)
                ),
            ));
        }
        let id = match self.settings.class {
            Class::Fast => self.inner.token_to_id(token),
            // One that is added now has no row in the model's table of words.
            _ => self.inner.get_model().token_to_id(token),
        };
        id.map(|id| (token.to_owned(), id)).ok_or_else(|| self.missing(key, token, default))
    }

    fn unk(&self) -> Result<u32> {
        let (_, id) = self.needed("unk_token", "[UNK]")?;
        let ModelWrapper::WordPiece(model) = self.inner.get_model() else { return Ok(id) };
        // Of a tokenizer.json that counts as a whole, the model's own unknown token is the one that is given.
        model.token_to_id(&model.unk_token).ok_or_else(|| {
            let what = format!("the token {}, its model.unk_token, is missing", shortened(&model.unk_token));
            not_bert(self.files, self.name, &what)
        })
    }

    fn missing(&self, key: &str, token: &str, default: &str) -> Error {
        let mut what = format!("the token {} is missing", shortened(token));
        let has_key = |file: &str| self.files.object(file).is_ok_and(|map| map.contains_key(key));
        if token != default
            && let Some(file) = [SPECIAL_MAP, CONFIG].into_iter().find(|file| has_key(file))
        {
            what += &format!(", which {file} gives as {key}");
        }
        match self.name {
            name @ (VOCAB | BPE_VOCAB) => self.files.damaged(name, &what),
            name => not_bert(self.files, name, &what),
        }
    }
}

pub(super) fn not_bert(files: &Files, name: &str, what: &str) -> Error {
    Error::data(format!(
        "{}: {what}. Only BERT's and RoBERTa's tokenizers are supported, [CLS] first [SEP] second [SEP] and <s> first </s></s> \
         second </s>; restore the file from the model's repository, or choose such a model.",
        files.path(name).display()
    ))
}

/// What `tokenizer.json` says of the letter case and does not count.
fn disagreement(files: &Files, json: &tokenizers::Tokenizer, case: Case) -> Option<String> {
    let Some(NormalizerWrapper::BertNormalizer(file)) = json.get_normalizer() else { return None };
    let strips = |normalizer: &BertNormalizer| normalizer.strip_accents.unwrap_or(normalizer.lowercase);
    let config = case.normalizer();
    let keys = [
        ("do_lower_case", file.lowercase, config.lowercase),
        ("strip_accents", strips(file), strips(&config)),
        ("tokenize_chinese_chars", file.handle_chinese_chars, config.handle_chinese_chars),
    ];
    let differing: Vec<String> = keys
        .into_iter()
        .filter(|(_, file, config)| file != config)
        .map(|(key, _, config)| format!("{key} {config}"))
        .collect();
    let config = match files.get(CONFIG) {
        Some(_) => CONFIG.to_owned(),
        None => format!("the default without {CONFIG}"),
    };
    (!differing.is_empty()).then(|| {
        format!("{JSON} disagrees with {config}, which counts as in transformers 5: {}", differing.join(", "))
    })
}

/// One token a line; the line number from 0 is the id. Special tokens are those that the vocabulary has.
pub(super) fn from_vocab(words: &[u8], case: Case) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = WordPiece::builder().vocab(WordPiece::read_bytes(words)?).build()?;
    let id = |token: &str| {
        let id = model.token_to_id(token).ok_or_else(|| format!("the token {token} is missing"))?;
        Ok::<_, tokenizers::Error>((token.to_owned(), id))
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
        .with_normalizer(Some(case.normalizer()))?
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(sep, cls)))
        .add_special_tokens(special)?;
    Ok(tokenizer)
}
