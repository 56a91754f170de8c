//! Tokens that are found in a text before it is split into words.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::AddedToken;

/// As a Hugging Face file describes such a token.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
pub(super) struct AddedTokenSpec {
    pub content: String,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    /// The opposite of `special` where it is left out.
    #[serde(default, deserialize_with = "given")]
    pub normalized: Option<bool>,
    #[serde(default)]
    pub special: bool,
}

/// `null` is no truth value.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some)
}

impl AddedTokenSpec {
    /// A token of `added_tokens.json`, which has no flags.
    pub fn plain(content: &str, special: bool) -> Self {
        let content = content.to_owned();
        Self {
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: Some(!special),
            special,
        }
    }

    fn token(self) -> AddedToken {
        AddedToken {
            content: self.content,
            single_word: self.single_word,
            lstrip: self.lstrip,
            rstrip: self.rstrip,
            normalized: self.normalized.unwrap_or(!self.special),
            special: self.special,
        }
    }
}

/// A special token's name in a config: the bare text, or with flags.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum SpecialToken {
    Text(String),
    WithFlags(AddedTokenSpec),
}

impl SpecialToken {
    /// `None` for a value that is neither.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Object(object) if object.get("__type") == Some(&json!("AddedToken")) => {
                serde_json::from_value(value.clone()).ok().map(Self::WithFlags)
            }
            _ => None,
        }
    }

    pub fn content(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::WithFlags(token) => &token.content,
        }
    }
}

/// The tokens that transformers adds to a tokenizer that has those of `existing`: first the described ones in their
/// order, then the named and the extra ones that are not among them.
pub(super) fn tokens_to_add(
    existing: &[AddedToken],
    described: &[AddedTokenSpec],
    named: &[SpecialToken],
    extra: &[SpecialToken],
) -> Vec<AddedToken> {
    let existing: HashMap<&str, &AddedToken> =
        existing.iter().map(|token| (token.content.as_str(), token)).collect();
    let mut known: HashSet<&str> = existing.keys().copied().collect();
    let mut add: Vec<SpecialToken> = Vec::new();
    for token in described {
        if existing.get(token.content.as_str()) != Some(&&token.clone().token()) {
            add.push(SpecialToken::WithFlags(token.clone()));
            known.insert(&token.content);
        }
    }
    let mut seen: HashSet<SpecialToken> = add.iter().cloned().collect();
    for token in named.iter().chain(extra) {
        if !known.contains(token.content()) && seen.insert(token.clone()) {
            add.push(token.clone());
        }
    }
    let names: HashSet<&str> = named.iter().map(SpecialToken::content).collect();
    let token = |named: SpecialToken| match named {
        SpecialToken::Text(text) => AddedToken::from(text, true),
        SpecialToken::WithFlags(mut token) => {
            token.special |= names.contains(token.content.as_str());
            token.token()
        }
    };
    add.into_iter().map(token).collect()
}
