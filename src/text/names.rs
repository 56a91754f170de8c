//! The special tokens that a folder names by key.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::added::{AddedTokenSpec, SpecialToken};
use super::class::Class;
use super::files::{CONFIG, Files, SPECIAL_MAP};
use crate::error::{Error, Result};

/// The special tokens that have a key of their own in the config, in the order in which they are added.
pub(super) const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The names that transformers' `BertTokenizer` has without a config.
const DEFAULTS: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

/// The names that transformers' `RobertaTokenizer` has without a config.
const ROBERTA_DEFAULTS: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];

/// The special tokens by key, first the usual ones in their order.
pub(super) fn names(
    files: &Files,
    class: Class,
    config: &Map<String, Value>,
    own: Map<String, Value>,
    by_content: &HashMap<String, AddedTokenSpec>,
) -> Result<Vec<(String, SpecialToken)>> {
    let mut names: Vec<(String, SpecialToken)> = Vec::new();
    let defaults: &[_] = match class {
        Class::Bert | Class::DistilBert => &DEFAULTS,
        Class::Roberta => &ROBERTA_DEFAULTS,
        Class::Fast => &[],
    };
    for key in NAMES {
        let default = defaults.iter().find(|(name, _)| *name == key);
        match config.get(key) {
            None => names.extend(
                default.map(|(key, token)| ((*key).to_owned(), SpecialToken::Text((*token).to_owned()))),
            ),
            Some(Value::Null) => {}
            Some(value) => {
                let token = SpecialToken::of(value).ok_or_else(|| neither(files, key))?;
                let described = by_content.get(token.content()).cloned().map(SpecialToken::WithFlags);
                names.push((key.to_owned(), described.unwrap_or(token)));
            }
        }
    }
    let mut others: Map<String, Value> = Map::new();
    for (key, value) in config {
        if key.ends_with("_token") && !NAMES.contains(&key.as_str()) && SpecialToken::of(value).is_some() {
            others.insert(key.clone(), value.clone());
        }
    }
    others.extend(own);
    for (key, value) in others {
        let token = SpecialToken::of(&value).ok_or_else(|| neither(files, &key))?;
        names.push((key, token));
    }
    Ok(names)
}

/// The error for a special token of a wrong type.
pub(super) fn neither(files: &Files, key: &str) -> Error {
    let of_map = files.object(SPECIAL_MAP).is_ok_and(|map| map.contains_key(key));
    let of_config = files.object(CONFIG).is_ok_and(|config| config.contains_key("added_tokens_decoder"));
    let file = if of_map && !of_config { SPECIAL_MAP } else { CONFIG };
    files.damaged(file, &format!("{key} is neither a text nor an object of __type AddedToken"))
}
