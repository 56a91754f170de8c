//! `config.json` of a Hugging Face model folder.

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
    ops::activation::Activation,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The shape of an encoder, as its `config.json` gives it; keys that have other names in its family have BERT's here.
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
    /// The FFNs'.
    #[serde(skip)]
    pub activation: Activation,
    /// The whole file, so that a saved model carries every key of the model it came from.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

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
const NUMBERS: [&str; 2] = ["layer_norm_eps", "initializer_range"];

/// Names the key whose value is of another type; what is missing is told later, or has a default.
fn check_types(family: &Family, config: &Map<String, Value>) -> std::result::Result<(), String> {
    let wrong = |key: &'static str, wanted: &str| {
        let (name, value) = (family.key(key), short(&config[key]));
        format!("{name} is {value}, and {wanted} is needed. Fetch the model's own file again.")
    };
    let is_whole = |key: &&&str| config.get(**key).is_none_or(|value| value.as_u64().is_some());
    if let Some(key) = WHOLE.iter().find(|key| !is_whole(key)) {
        return Err(wrong(key, "a whole number"));
    }
    let dropouts = family.dropouts.map(|(key, _)| key);
    // Of a dropout, null means that another key decides.
    let is_number = |key: &&&str| {
        config.get(**key).is_none_or(|value| value.is_number() || value.is_null() && dropouts.contains(key))
    };
    match NUMBERS.iter().chain(&dropouts).find(|key| !is_number(key)) {
        Some(key) => Err(wrong(key, "a number")),
        None => Ok(()),
    }
}

/// Gives the family's keys BERT's names.
fn rename_keys(family: &Family, config: &mut Map<String, Value>) -> std::result::Result<(), String> {
    for (key, own) in family.keys {
        let Some(value) = config.shift_remove(*own) else { continue };
        if let Some(other) = config.get(*key)
            && *other != value
        {
            return Err(format!(
                "{own} is {}, and {key}, another name of it, is {}. Fetch the model's own file again.",
                short(&value),
                short(other)
            ));
        }
        config.insert((*key).to_owned(), value);
    }
    family.fixed_keys.iter().for_each(|key| _ = config.shift_remove(*key));
    Ok(())
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
            activation: Activation::default(),
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
            Some(other) => other.found_in(path),
            None if bytes.is_empty() => bad("the file is empty. Fetch it again.".to_owned()),
            None => bad(format!("this is not JSON ({e}). Fetch the file again.")),
        })?;
        let Value::Object(mut map) = value else {
            return Err(bad(format!(
                "this is {}, and a model's config is an object, {{…}}. Fetch the file again.",
                short(&value)
            )));
        };
        let (family, activation) = supported::check(&map).map_err(bad)?;
        rename_keys(family, &mut map).map_err(bad)?;
        check_types(family, &map).map_err(bad)?;
        if let Some(key) = WHOLE[..6].iter().find(|key| !map.contains_key(**key)) {
            return Err(bad(format!(
                "missing field `{}`. A model's config.json has this key; fetch the model's own file again.",
                family.key(key)
            )));
        }
        let mut config: Self = serde_json::from_value(Value::Object(map))
            .map_err(|e| bad(format!("{e}. Fetch the model's own file again.")))?;
        (config.family, config.activation) = (family, activation);
        config.check().map_err(bad)?;
        config.saved_layers().map_err(bad)?;
        Ok(config)
    }

    /// The object of `config.json`, under the keys of the model's family.
    pub fn to_object(&self) -> Result<Map<String, Value>> {
        let value = serde_json::to_value(self).map_err(|e| Error::internal(e.to_string()))?;
        let Value::Object(map) = value else { return Err(Error::internal("a config is an object")) };
        let (family, rest) = (self.family, &self.rest);
        let own = |key: String| match family.keys.iter().find(|(berts, _)| *berts == key) {
            Some((_, own)) => (*own).to_owned(),
            None => key,
        };
        let kept = map.into_iter().filter(|(key, _)| !family.fixed_keys.contains(&&**key));
        let mut map: Map<String, Value> = kept.map(|(key, value)| (own(key), value)).collect();
        map.insert("model_type".into(), family.model_type.into());
        if self.activation != Activation::default() && !rest.contains_key(family.activation_key) {
            map.insert(family.activation_key.into(), supported::name(self.activation).into());
        }
        Ok(map)
    }

    /// The dropout probabilities that the file names, by key: of the hidden states, of the attention, and of the
    /// classifier's input.
    pub fn dropouts(&self) -> Vec<(&'static str, f64)> {
        let of = |(key, _)| Some((key, self.rest.get(key)?.as_f64()?));
        self.family.dropouts.into_iter().filter_map(of).collect()
    }

    /// Notes what a model was trained with, in the order of [`Self::dropouts`]. A value that the file has, or that it leaves to the default, stays as it is.
    pub fn set_dropouts(&mut self, used: [f64; 3]) {
        for ((key, default), p) in self.family.dropouts.into_iter().zip(used) {
            let named = self.rest.get(key).and_then(Value::as_f64);
            if named.or(default).unwrap_or(used[0]) != p {
                self.rest.insert(key.to_owned(), p.into());
            }
        }
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
                let key = self.family.key(key);
                return Err(format!("{key} is {value}; a size between 1 and {most} is needed."));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "{} {} is not a multiple of {} {}, so the heads have no whole size.",
                self.family.key("hidden_size"),
                self.hidden_size,
                self.family.key("num_attention_heads"),
                self.num_attention_heads
            ));
        }
        if self.family.padding.is_some()
            && let Some(id) = self.rest.get("pad_token_id")
        {
            let most = self.vocab_size.min(self.max_position_embeddings.saturating_sub(1));
            if id.as_u64().is_none_or(|id| id >= most as u64) {
                return Err(format!(
                    "pad_token_id is {}, and positions are counted from it: a number below {most} is needed (vocab_size, and \
                     max_position_embeddings less 1).",
                    crate::error::excerpt(&id.to_string())
                ));
            }
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
        let first = self.padding().map_or(self.family.position_offset, |id| id as usize + 1);
        self.max_position_embeddings.saturating_sub(first)
    }

    /// The id of padding, where positions are counted from it.
    pub fn padding(&self) -> Option<u32> {
        let usual = self.family.padding?;
        Some(self.rest.get("pad_token_id").and_then(Value::as_u64).map_or(usual, |id| id as u32))
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
