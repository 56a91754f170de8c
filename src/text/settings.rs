//! How transformers 5 sets up the tokenizer of a model folder.
//!
//! Its `BertTokenizer` takes the vocabulary alone from `tokenizer.json` or `vocab.txt`; the letter case, accents,
//! Chinese characters and the special tokens come from `tokenizer_config.json`. Only for the class
//! `PreTrainedTokenizerFast` does `tokenizer.json` count as a whole. `RobertaTokenizer` takes vocabulary and merges from
//! `tokenizer.json` or `vocab.json` and `merges.txt`, and whether a space goes before a text from the config. Added tokens are those of `added_tokens_decoder`
//! in the config, or else those of `special_tokens_map.json`, `added_tokens.json` and `tokenizer.json` together. The
//! ids of all that are compared with transformers' own in `tests/golden/folders.json`.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::normalizers::BertNormalizer;

use super::added::{AddedTokenSpec, SpecialToken};
use super::class::{Class, class};
use super::files::{ADDED, CONFIG, Files, JSON, SPECIAL_MAP};
use super::names::{NAMES, names, neither};
use crate::error::{Error, Result};

/// The keys that decide how BERT normalises a text, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub do_lower_case: bool,
    pub tokenize_chinese_chars: bool,
    pub strip_accents: Option<bool>,
}

impl Default for Case {
    fn default() -> Self {
        Self { do_lower_case: true, tokenize_chinese_chars: true, strip_accents: None }
    }
}

impl Case {
    pub fn normalizer(self) -> BertNormalizer {
        BertNormalizer::new(true, self.tokenize_chinese_chars, self.strip_accents, self.do_lower_case)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub class: Class,
    pub case: Case,
    /// Of byte-level BPE: whether a text begins as if a space stood before it.
    pub prefix_space: bool,
    /// Special tokens by key.
    pub names: Vec<(String, SpecialToken)>,
    /// Added tokens with their flags, by ascending id. The id itself does not count in transformers 5.
    pub described: Vec<AddedTokenSpec>,
    pub extra: Vec<SpecialToken>,
    /// Whether a text that is too long loses its beginning.
    pub cut_left: bool,
    /// Whether a special token in a text is split like other words.
    pub split_special: bool,
    /// Whether the model is given segments at all.
    pub segments: bool,
}

/// What else counts of `tokenizer.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenizerJson {
    added_tokens: Vec<TokenWithId>,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
}

#[derive(Deserialize)]
struct TokenWithId {
    id: i64,
    #[serde(flatten)]
    token: AddedTokenSpec,
}

#[derive(Deserialize)]
struct Truncation {
    #[serde(default)]
    direction: String,
}

#[derive(Deserialize)]
struct Padding {
    pad_token: String,
}

impl Settings {
    /// # Errors
    /// `Error::Data` naming a file that is damaged, and the key that transformers would refuse or that is not supported.
    pub fn read(files: &Files) -> Result<Self> {
        let mut config = files.object(CONFIG)?;
        let class = class(files, &config)?;
        refuse_unsupported(files, &config)?;
        let json: TokenizerJson = match files.get(JSON).map(serde_json::from_slice) {
            Some(read) => read.map_err(|error| files.damaged(JSON, &error.to_string()))?,
            None => TokenizerJson::default(),
        };
        if !truthy(config.get("extra_special_tokens"))
            && let Some(tokens) = config.shift_remove("additional_special_tokens")
        {
            config.insert("extra_special_tokens".into(), tokens);
        }
        let mut own = own_names(&mut config);
        let (described, by_content) = match config.shift_remove("added_tokens_decoder") {
            Some(decoder) => decoder_of_config(files, decoder)?,
            None => {
                merge_special_map(files, &mut config, &mut own)?;
                decoder_of_files(files, &config, json.added_tokens)?
            }
        };
        if class == Class::Fast
            && let Some(padding) = json.padding
            && !config.contains_key("pad_token")
        {
            config.insert("pad_token".into(), padding.pad_token.into());
        }
        let names = names(files, class, &config, own, &by_content)?;
        let extra = extra(files, &config)?;
        let keys = ConfigKeys { files, config: &config };
        let case = match class {
            Class::Bert | Class::DistilBert => keys.case()?,
            Class::Roberta | Class::Fast => Case::default(),
        };
        if class == Class::Roberta {
            // It decides offsets, which nobody reads.
            keys.bool("trim_offsets", true)?;
        }
        let direction = json.truncation.map(|truncation| truncation.direction);
        Ok(Self {
            class,
            case,
            prefix_space: class == Class::Roberta && keys.bool("add_prefix_space", false)?,
            names,
            described,
            extra,
            cut_left: keys.cut_left()?.unwrap_or(direction.as_deref() == Some("Left")),
            split_special: keys.bool("split_special_tokens", false)?,
            segments: class != Class::Roberta && keys.segments()?.unwrap_or(class != Class::DistilBert),
        })
    }

    /// The special token of this key, if there is one.
    pub fn name(&self, key: &str) -> Option<&str> {
        self.names.iter().find(|(name, _)| name == key).map(|(_, token)| token.content())
    }

    /// The values of [`Self::names`].
    pub fn named(&self) -> Vec<SpecialToken> {
        self.names.iter().map(|(_, token)| token.clone()).collect()
    }
}

/// Whether Python takes the value for true.
fn truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// Keys that have transformers read something else than the folder's files.
fn refuse_unsupported(files: &Files, config: &Map<String, Value>) -> Result<()> {
    let other_files = |value: &Value| value != &json!([JSON]);
    for (key, is_set) in [
        ("vocab", !config.get("vocab").is_none_or(Value::is_null)),
        ("init_inputs", truthy(config.get("init_inputs"))),
        ("fast_tokenizer_files", config.get("fast_tokenizer_files").is_some_and(other_files)),
    ] {
        if is_set {
            return Err(Error::data(format!(
                "{}: the key {key} is not supported: the tokenizer is read from {JSON} or vocab.txt alone. Load the folder \
                 with transformers, save it with save_pretrained, and use what that writes.",
                files.path(CONFIG).display()
            )));
        }
    }
    Ok(())
}

/// The special tokens with keys of the model's own, `…_token`, taken out of the config.
fn own_names(config: &mut Map<String, Value>) -> Map<String, Value> {
    let is_own = |key: &str, value: &Value| {
        key.ends_with("_token") && !NAMES.contains(&key) && matches!(value, Value::String(_))
    };
    let mut own = Map::new();
    let (taken, left) = std::mem::take(config).into_iter().partition(|(key, value)| is_own(key, value));
    *config = left;
    own.extend::<Map<String, Value>>(taken);
    take_named_extra(config, &mut own);
    match config.shift_remove("model_specific_special_tokens") {
        Some(Value::Object(saved)) if own.is_empty() => saved,
        _ => own,
    }
}

/// Extra special tokens may be a list, or an object with a key for each.
fn take_named_extra(config: &mut Map<String, Value>, own: &mut Map<String, Value>) {
    if let Some(Value::Object(extra)) = config.get("extra_special_tokens").cloned() {
        config.shift_remove("extra_special_tokens");
        own.extend(extra);
    }
}

type Decoder = (Vec<AddedTokenSpec>, HashMap<String, AddedTokenSpec>);

fn decoder_of_config(files: &Files, decoder: Value) -> Result<Decoder> {
    let bad = |what: &str| files.damaged(CONFIG, &format!("added_tokens_decoder {what}"));
    let Value::Object(decoder) = decoder else { return Err(bad("is not an object")) };
    let (mut by_id, mut by_content) = (BTreeMap::new(), HashMap::new());
    for (id, token) in decoder {
        let id: i64 = id.trim().parse().map_err(|_| bad(&format!("has the id {id:?}")))?;
        let token: AddedTokenSpec =
            serde_json::from_value(token).map_err(|error| bad(&format!("of id {id}: {error}")))?;
        by_content.insert(token.content.clone(), token.clone());
        by_id.insert(id, token);
    }
    Ok((by_id.into_values().collect(), by_content))
}

/// What `special_tokens_map.json` says goes before the config.
fn merge_special_map(
    files: &Files,
    config: &mut Map<String, Value>,
    own: &mut Map<String, Value>,
) -> Result<()> {
    for (key, value) in files.object(SPECIAL_MAP)? {
        let value = match value {
            Value::Array(list) if key == "extra_special_tokens" => {
                let mut all = config.get(&key).and_then(Value::as_array).cloned().unwrap_or_default();
                for token in list.into_iter().map(special) {
                    if !all.contains(&token) {
                        all.push(token);
                    }
                }
                Value::Array(all)
            }
            value if key == "extra_special_tokens" => value,
            value => special(value),
        };
        config.insert(key, value);
    }
    take_named_extra(config, own);
    Ok(())
}

/// An object of `special_tokens_map.json` has no type, and is a special token.
fn special(value: Value) -> Value {
    match value {
        Value::Object(mut token) => {
            token.insert("__type".into(), "AddedToken".into());
            token.insert("special".into(), true.into());
            Value::Object(token)
        }
        other => other,
    }
}

fn decoder_of_files(
    files: &Files,
    config: &Map<String, Value>,
    of_json: Vec<TokenWithId>,
) -> Result<Decoder> {
    let content = |value: &Value| SpecialToken::of(value).map(|token| token.content().to_owned());
    let extra = config.get("extra_special_tokens").and_then(Value::as_array);
    let special: HashSet<String> = NAMES
        .iter()
        .filter_map(|name| config.get(*name))
        .chain(extra.into_iter().flatten())
        .filter_map(content)
        .collect();
    let (mut by_id, mut by_content) = (BTreeMap::new(), HashMap::new());
    let mut insert = |id: i64, token: AddedTokenSpec| {
        by_content.insert(token.content.clone(), token.clone());
        by_id.insert(id, token);
    };
    for (content, id) in files.object(ADDED)? {
        let bad = || files.damaged(ADDED, &format!("the id of {content:?} is {id}, not a whole number"));
        insert(id.as_i64().ok_or_else(bad)?, AddedTokenSpec::plain(&content, special.contains(&content)));
    }
    of_json.into_iter().for_each(|TokenWithId { id, token }| insert(id, token));
    Ok((by_id.into_values().collect(), by_content))
}

fn extra(files: &Files, config: &Map<String, Value>) -> Result<Vec<SpecialToken>> {
    let of = |key| config.get(key).map(|value| (key, value));
    match of("extra_special_tokens").or_else(|| of("additional_special_tokens")) {
        None | Some((_, Value::Null)) => Ok(Vec::new()),
        Some((key, Value::Array(list))) => {
            list.iter().map(|token| SpecialToken::of(token).ok_or_else(|| neither(files, key))).collect()
        }
        Some((key, _)) => Err(neither(files, key)),
    }
}

/// Reads single keys of the config.
struct ConfigKeys<'a> {
    files: &'a Files,
    config: &'a Map<String, Value>,
}

impl ConfigKeys<'_> {
    fn wrong(&self, key: &str, what: &str) -> Error {
        self.files.damaged(CONFIG, &format!("{key} is {what}"))
    }

    fn bool(&self, key: &str, default: bool) -> Result<bool> {
        match self.config.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(key, "neither true nor false")),
        }
    }

    fn case(&self) -> Result<Case> {
        let strip_accents = match self.config.get("strip_accents") {
            Some(Value::Null) | None => None,
            Some(_) => Some(self.bool("strip_accents", false)?),
        };
        let Case { do_lower_case, tokenize_chinese_chars, .. } = Case::default();
        Ok(Case {
            do_lower_case: self.bool("do_lower_case", do_lower_case)?,
            tokenize_chinese_chars: self.bool("tokenize_chinese_chars", tokenize_chinese_chars)?,
            strip_accents,
        })
    }

    fn cut_left(&self) -> Result<Option<bool>> {
        match self.config.get("truncation_side") {
            None => Ok(None),
            Some(side) if side == "left" => Ok(Some(true)),
            Some(side) if side == "right" => Ok(Some(false)),
            Some(_) => Err(self.wrong("truncation_side", "neither \"left\" nor \"right\"")),
        }
    }

    fn segments(&self) -> Result<Option<bool>> {
        match self.config.get("model_input_names") {
            None => Ok(None),
            Some(Value::Array(names)) => Ok(Some(names.contains(&json!("token_type_ids")))),
            Some(_) => Err(self.wrong("model_input_names", "not a list")),
        }
    }
}
