//! `config.json` of a Hugging Face BERT folder.

use super::{
    family::{self, Family},
    folder,
    shape::{Ffn, LayerShape},
    supported::{self, short},
};
use crate::{
    content::what_is,
    error::{Error, Result},
    file,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The shape of a BERT, as its `config.json` gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    #[serde(default = "published_epsilon")]
    pub layer_norm_eps: f64,
    #[serde(default = "published_range")]
    pub initializer_range: f64,
    /// What the other keys of the file say about how it is computed.
    #[serde(skip, default = "bert")]
    pub family: &'static Family,
    /// The whole file, so that a saved model carries every key of the model it came from.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

pub const HIDDEN_DROPOUT: &str = "hidden_dropout_prob";
pub const ATTENTION_DROPOUT: &str = "attention_probs_dropout_prob";
pub const CLASSIFIER_DROPOUT: &str = "classifier_dropout";
const DROPOUTS: [&str; 3] = [HIDDEN_DROPOUT, ATTENTION_DROPOUT, CLASSIFIER_DROPOUT];

/// Keys that are whole numbers, and others that are numbers.
const WHOLE: [&str; 7] = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
];
const NUMBERS: [&str; 5] =
    ["layer_norm_eps", "initializer_range", HIDDEN_DROPOUT, ATTENTION_DROPOUT, CLASSIFIER_DROPOUT];

/// Names the key whose value is of another type; what is missing is told later, or has a default.
fn check_types(config: &Value) -> std::result::Result<(), String> {
    let wrong = |key: &str, wanted: &str| {
        format!("{key} is {}, and {wanted} is needed. Fetch the model's own file again.", short(&config[key]))
    };
    let is_whole = |key: &&&str| config.get(**key).is_none_or(|value| value.as_u64().is_some());
    if let Some(key) = WHOLE.iter().find(|key| !is_whole(key)) {
        return Err(wrong(key, "a whole number"));
    }
    // Of a dropout, null means that another key decides.
    let is_number = |key: &&&str| {
        config.get(**key).is_none_or(|value| value.is_number() || value.is_null() && DROPOUTS.contains(key))
    };
    match NUMBERS.iter().find(|key| !is_number(key)) {
        Some(key) => Err(wrong(key, "a number")),
        None => Ok(()),
    }
}

fn bert() -> &'static Family {
    &family::BERT
}

fn two() -> usize {
    2
}

fn published_epsilon() -> f64 {
    1e-12
}

fn published_range() -> f64 {
    0.02
}

impl BertConfig {
    /// A BERT of this shape with the published vocabulary, positions and constants.
    pub fn of_shape(layers: usize, hidden: usize, heads: usize, ffn: usize) -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: hidden,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            intermediate_size: ffn,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: published_epsilon(),
            initializer_range: published_range(),
            family: bert(),
            rest: Map::new(),
        }
    }

    /// Reads and checks `DIR/config.json`.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::read(&folder::config(dir)?)
    }

    /// The same of a file of any name.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = file::read(path, file::LARGEST_JSON).map_err(|e| Error::io(path, "read", &e))?;
        let bad = |what: String| Error::data(format!("{}: {what}", path.display()));
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| match what_is(&bytes) {
            Some(other) => bad(format!("this is {}. {}", other.name, other.remedy)),
            None if bytes.is_empty() => bad("the file is empty. Fetch it again.".to_owned()),
            None => bad(format!("this is not JSON ({e}). Fetch the file again.")),
        })?;
        if !value.is_object() {
            return Err(bad(format!(
                "this is {}, and a model's config is an object, {{…}}. Fetch the file again.",
                short(&value)
            )));
        }
        let family = supported::check(&value).map_err(bad)?;
        check_types(&value).map_err(bad)?;
        let mut config: Self = serde_json::from_value(value).map_err(|e| {
            bad(format!("{e}. A BERT's config.json has this key; fetch the model's own file again."))
        })?;
        config.family = family;
        config.check().map_err(bad)?;
        config.saved_layers().map_err(bad)?;
        Ok(config)
    }

    /// The dropout probabilities that the file names, by key: of the hidden states, of the attention, and of the
    /// classifier's input.
    pub fn dropouts(&self) -> Vec<(&'static str, f64)> {
        let of = |key| Some((key, self.rest.get(key)?.as_f64()?));
        DROPOUTS.into_iter().filter_map(of).collect()
    }

    /// Notes what a model was trained with. A value that the file has, or that it leaves to the default, stays as it is.
    pub fn set_dropouts(&mut self, hidden: f64, attention: f64) {
        const DEFAULT: f64 = 0.1;
        let named = |key: &str| self.rest.get(key).and_then(Value::as_f64);
        let changed: Vec<_> = [(HIDDEN_DROPOUT, hidden), (ATTENTION_DROPOUT, attention)]
            .into_iter()
            .filter(|(key, p)| named(key).unwrap_or(DEFAULT) != *p)
            .chain(named(CLASSIFIER_DROPOUT).filter(|p| *p != hidden).map(|_| (CLASSIFIER_DROPOUT, hidden)))
            .collect();
        self.rest.extend(changed.into_iter().map(|(key, p)| (key.to_owned(), p.into())));
    }

    fn check(&self) -> std::result::Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, value) in sizes {
            let most = match key {
                "num_hidden_layers" => 1 << 12,
                "num_attention_heads" => 1 << 10,
                _ => 1 << 24,
            };
            if value == 0 || value > most {
                return Err(format!("{key} is {value}; a size between 1 and {most} is needed."));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}, so the heads have no whole size.",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(format!(
                "layer_norm_eps is {}; a small positive number is needed.",
                self.layer_norm_eps
            ));
        }
        if !(0.0..=1.0).contains(&self.initializer_range) {
            return Err(format!(
                "initializer_range is {}; a number between 0 and 1 is needed, 0.02 in the published BERT.",
                self.initializer_range
            ));
        }
        let outside = |(_, p): &(&str, f64)| !(0.0..1.0).contains(p);
        match self.dropouts().iter().find(|dropout| outside(dropout)) {
            Some((key, p)) => Err(format!("{key} is {p}; a probability below 1 is needed.")),
            None => Ok(()),
        }
    }

    /// Tokens that a sequence can have: the rows of the table of positions that they can take.
    pub fn longest_sequence(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.family.position_offset)
    }

    /// Width of one head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Every head and every FFN.
    pub fn full_shape(&self) -> Vec<LayerShape> {
        let layer = LayerShape { heads: (0..self.num_attention_heads).collect(), ffn: Ffn::Whole };
        vec![layer; self.num_hidden_layers]
    }

    /// The units that a folder saved by this program still has; `config.json` lists them under `lottery`.
    pub fn saved_shape(&self) -> Result<Vec<LayerShape>> {
        let saved = self.saved_layers().map_err(|why| Error::data(format!("config.json: {why}")))?;
        Ok(saved.unwrap_or_else(|| self.full_shape()))
    }

    fn saved_layers(&self) -> std::result::Result<Option<Vec<LayerShape>>, String> {
        let Some(value) = self.rest.get("lottery") else { return Ok(None) };
        let damaged =
            |why: &str| format!("key lottery.layers: {why}. The stage's folder is damaged; delete it.");
        let shape: Vec<LayerShape> = value
            .get("layers")
            .map_or_else(|| Vec::deserialize(&Value::Null), Vec::deserialize)
            .map_err(|e| damaged(&e.to_string()))?;
        let sound = shape.len() == self.num_hidden_layers
            && shape.iter().all(|layer| {
                let neurons = match &layer.ffn {
                    Ffn::Neurons(kept) => &kept[..],
                    Ffn::Whole | Ffn::Absent => &[],
                };
                are_some_of(&layer.heads, self.num_attention_heads)
                    && are_some_of(neurons, self.intermediate_size)
            });
        if sound { Ok(Some(shape)) } else { Err(damaged("not a subset of the model's units")) }
    }
}

/// Whether these are numbers below `all`, ascending.
fn are_some_of(numbers: &[usize], all: usize) -> bool {
    numbers.is_sorted_by(|a, b| a < b) && numbers.last().is_none_or(|last| *last < all)
}
