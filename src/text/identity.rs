//! The hash of a tokenizer, which enters stage ids and the names of cached tokens.
//!
//! Earlier versions hashed `tokenizer.json`, or `vocab.txt` with `tokenizer_config.json`, and read no other file. As
//! long as the tokens are the same as in these versions, so is the hash, and their stores remain valid; otherwise
//! everything else that determines the tokens is hashed too.

use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::normalizers::NormalizerWrapper;

use super::SpecialIds;
use super::build::Built;
use super::class::Class;
use super::files::{BPE_VOCAB, CONFIG, Files, JSON, MERGES, VOCAB};
use super::settings::Settings;

/// BLAKE3 (hex).
pub(super) fn hash(files: &Files, settings: &Settings, built: &Built) -> String {
    let names: &[&str] = match (files.get(JSON), settings.class) {
        (Some(_), _) => &[JSON],
        (None, Class::Roberta) => &[BPE_VOCAB, MERGES, CONFIG],
        (None, _) => &[VOCAB, CONFIG],
    };
    let mut hasher = blake3::Hasher::new();
    for bytes in names.iter().filter_map(|name| files.get(name)) {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    let now = decisive(&built.inner, Some(built.special));
    let like_before = !settings.cut_left && !settings.split_special && settings.segments;
    let unchanged = like_before
        && built.earlier.as_ref().is_some_and(|earlier| {
            earlier.get_model() == built.inner.get_model() && decisive(earlier, earlier_ids(earlier)) == now
        });
    if !unchanged {
        let rest = json!({
            "tokens": now,
            "unk_token": settings.name("unk_token"),
            "class": format!("{:?}", settings.class),
            "cut_left": settings.cut_left,
            "split_special": settings.split_special,
            "segments": settings.segments,
        });
        hasher.update(rest.to_string().as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Everything except the vocabulary that determines the tokens of a text.
fn decisive(tokenizer: &tokenizers::Tokenizer, special: Option<SpecialIds>) -> Value {
    let normalizer = match tokenizer.get_normalizer() {
        // By default, accents are stripped if and only if text is lowercased.
        Some(NormalizerWrapper::BertNormalizer(normalizer)) => {
            let mut normalizer = *normalizer;
            normalizer.strip_accents = Some(normalizer.strip_accents.unwrap_or(normalizer.lowercase));
            json!(NormalizerWrapper::BertNormalizer(normalizer))
        }
        other => json!(other),
    };
    let mut added: Vec<(u32, AddedToken)> = tokenizer.get_added_tokens_decoder().into_iter().collect();
    added.sort_by_key(|(id, _)| *id);
    let split_special = tokenizer.get_encode_special_tokens();
    let added: Vec<Value> = added
        .into_iter()
        .map(|(id, AddedToken { content, single_word, lstrip, rstrip, normalized, special })| {
            // Whether a token is special only matters if special tokens are split.
            json!([id, content, single_word, lstrip, rstrip, normalized, special && split_special])
        })
        .collect();
    let special = special.map(|SpecialIds { pad, unk, cls, sep, mask }| json!([pad, unk, cls, sep, mask]));
    json!({
        "normalizer": normalizer,
        "pre_tokenizer": tokenizer.get_pre_tokenizer(),
        "added": added,
        "special": special,
    })
}

/// The special tokens as in earlier versions, which had no other names for them.
fn earlier_ids(tokenizer: &tokenizers::Tokenizer) -> Option<SpecialIds> {
    let id = |token| tokenizer.token_to_id(token);
    Some(SpecialIds {
        pad: id("[PAD]"),
        unk: id("[UNK]")?,
        cls: id("[CLS]")?,
        sep: id("[SEP]")?,
        mask: id("[MASK]"),
    })
}
