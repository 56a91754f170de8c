//! Hugging Face folders: `config.json` and the weights, in and out.

use super::{
    bert::Bert,
    config::BertConfig,
    family::Family,
    fit, memory,
    params::{Entry, Head, Layout},
    shape::LayerShape,
    storage::Storage,
    tensors::Tensor,
    wrapper,
};
use crate::error::{Error, Result};
use half::f16;
use serde_json::{Map, Value, json};
use std::{collections::HashMap, path::Path, sync::Arc};

/// How weights are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    F32,
    F16,
}

/// A model's folder, opened and hashed, before a head is chosen. The weights themselves are read when a model is
/// [built](Self::build), so that memory holds them once.
#[derive(Clone, Debug)]
pub struct Pretrained {
    pub config: BertConfig,
    pub sha256: String,
    /// What was read besides what is needed, or drawn because it was missing; worth telling.
    pub notes: Vec<String>,
    shape: Vec<LayerShape>,
    storage: Arc<Storage>,
    /// By their plain names
    tensors: Arc<HashMap<String, Tensor>>,
    file: String,
    /// What was left out before the tensors' names.
    wrappers: Vec<&'static str>,
}

/// A model's folder whose `config.json` and weights fit each other.
struct Opened {
    config: BertConfig,
    shape: Vec<LayerShape>,
    storage: Storage,
    tensors: HashMap<String, Tensor>,
    wrappers: Vec<&'static str>,
}

impl Opened {
    fn new(dir: &Path) -> Result<Self> {
        let config = BertConfig::load(dir)?;
        let shape = config.saved_shape()?;
        let storage = Storage::open(dir)?;
        let family = config.family;
        let tensors = storage.by_name(|name| family.plain_name(wrapper::strip(name)))?;
        let wrappers = wrapper::found(storage.names());
        let layout = Layout::new(&config, &shape, Head::MaskedLm);
        let encoder: Vec<&Entry> =
            layout.entries.iter().filter(|e| !family.is_of_head(&family.plain_name(&e.name))).collect();
        let find = |entry: &Entry| tensors.get(&family.plain_name(&entry.name));
        fit::check(family, &encoder, find, tensors.keys().map(String::as_str), &storage.name)?;
        Ok(Self { config, shape, storage, tensors, wrappers })
    }
}

impl Pretrained {
    /// Refuses what [`load`](Self::load) would refuse, short of the numbers themselves. Reads no weights.
    pub fn check(dir: &Path) -> Result<BertConfig> {
        Opened::new(dir).map(|opened| opened.config)
    }

    /// Reads `DIR/config.json` and what the weights' files say of their tensors, and hashes them.
    pub fn load(dir: &Path) -> Result<Self> {
        let Opened { config, shape, storage, tensors, wrappers } = Opened::new(dir)?;
        let sha256 = storage.read(&|_| false, &mut |_, _| Ok(()))?;
        let (file, storage, tensors) = (storage.name.clone(), Arc::new(storage), Arc::new(tensors));
        Ok(Self { config, sha256, notes: Vec::new(), shape, storage, tensors, file, wrappers })
    }

    /// The head that the file has: a classifier, else one that finds spans.
    pub fn saved_head(&self) -> Option<Head> {
        let Family { classifier, spans, .. } = self.config.family;
        let outputs = |name: &str| self.tensors.get(&format!("{name}.weight"))?.shape.first().copied();
        let classifier = outputs(classifier).filter(|labels| *labels > 0);
        let spans = || (outputs(spans) == Some(2)).then_some(Head::Spans);
        classifier.map(|labels| Head::Classifier { labels }).or_else(spans)
    }

    /// Whether the file has a masked-LM head.
    pub fn has_masked_lm(&self) -> bool {
        self.tensors.contains_key(&format!("{}.weight", self.config.family.transform))
    }

    /// The word embeddings (V, H), as f32.
    pub fn words(&self) -> Result<Vec<f32>> {
        let family = self.config.family;
        let name = family.plain_name(&family.weight(family.words));
        let mut words = vec![0.0; self.config.vocab_size * self.config.hidden_size];
        let mut take = |_: &str, data: &[u8]| match self.tensors[&name].copy_to(data, &mut words) {
            true => Ok(()),
            false => Err(Error::data(format!(
                "{}: tensor {name} has another number of values than its shape. The file is damaged; fetch it again.",
                self.file
            ))),
        };
        let wanted = |stored: &str| family.plain_name(wrapper::strip(stored)) == name;
        let sha256 = self.storage.read(&wanted, &mut take)?;
        self.check_unchanged(&sha256)?;
        Ok(words)
    }

    fn check_unchanged(&self, sha256: &str) -> Result<()> {
        if sha256 == self.sha256 {
            return Ok(());
        }
        Err(Error::data(format!(
            "{}: it has changed since this process first read it. Run the same command again.",
            self.file
        )))
    }

    /// The model with this head. The head's tensors are the file's when it has them, for as many labels if it is a
    /// classifier, and `fresh_head` is false; otherwise they are drawn from `seed`. A missing pooler is always drawn.
    ///
    /// # Errors
    /// `Error::Data`: tensors are missing, damaged, or no longer those that were hashed.
    pub fn build(&mut self, head: Head, seed: u64, fresh_head: bool) -> Result<Bert> {
        if head == Head::MaskedLm && self.config.rest.get("tie_word_embeddings") == Some(&json!(false)) {
            return Err(Error::data(format!(
                "{}: its config.json says \"tie_word_embeddings\": false, so its masked-LM decoder has weights of its own, \
                 and lottery has the published BERT's only, whose decoder is the word embeddings. Choose another model.",
                self.file
            )));
        }
        let tensors = Arc::clone(&self.tensors);
        let entries = Layout::new(&self.config, &self.shape, head).entries;
        let family = self.config.family;
        let [bias, other_bias] = family.decoder_bias;
        let source = |entry: &Entry| {
            let name = family.plain_name(&entry.name);
            let other = || (name == bias).then(|| tensors.get_key_value(other_bias)).flatten();
            // A classifier for another number of labels belongs to another task.
            let wanted = |(_, tensor): &(&String, &Tensor)| {
                let fits = tensor.is_float() && tensor.shape == entry.shape;
                !family.is_of_head(&name) || (!fresh_head && (head == Head::MaskedLm || fits))
            };
            tensors.get_key_value(&name).or_else(other).filter(wanted)
        };
        let all: Vec<&Entry> = entries.iter().collect();
        let find = |entry: &Entry| source(entry).map(|(_, tensor)| tensor);
        let drawn = fit::check(family, &all, find, tensors.keys().map(String::as_str), &self.file)?;
        // What is drawn is as large as config.json says.
        memory::check(&self.config, &self.shape, head, memory::HELD, &self.file)?;
        let mut bert = Bert::zeros(self.config.clone(), self.shape.clone(), head);
        let places: HashMap<&str, &Entry> =
            entries.iter().filter_map(|entry| Some((source(entry)?.0.as_str(), entry))).collect();
        let plain = |name: &str| family.plain_name(wrapper::strip(name));
        let mut take = |name: &str, data: &[u8]| {
            let name = plain(name);
            let values = &mut bert.params.data[places[name.as_str()].range.clone()];
            let damaged = |why: &str| {
                Error::data(format!(
                    "{}: tensor {name} {why}. The file is damaged; fetch it again.",
                    self.file
                ))
            };
            if !tensors[&name].copy_to(data, values) {
                return Err(damaged("has another number of values than its shape"));
            }
            match values.iter().position(|value| !value.is_finite()) {
                Some(at) => Err(damaged(&format!("holds {} at element {at}", values[at]))),
                None => Ok(()),
            }
        };
        let sha256 = self.storage.read(&|name| places.contains_key(plain(name).as_str()), &mut take)?;
        self.check_unchanged(&sha256)?;
        bert.initialise(seed, |name| drawn.iter().any(|d| d == name));
        self.notes = self.describe(
            head,
            &entries.iter().map(|e| family.plain_name(&e.name)).collect::<Vec<_>>(),
            &drawn,
        );
        if !fresh_head && drawn.iter().any(|n| family.is_of_head(n)) {
            let what = match head {
                Head::Classifier { labels } => format!("classifier for {labels} labels"),
                Head::MaskedLm => "whole masked-LM head".to_owned(),
                Head::Spans => "span head".to_owned(),
            };
            self.notes
                .push(format!("the model has no {what}; what is missing was drawn from the run's seed"));
        }
        Ok(bert)
    }

    fn describe(&self, head: Head, known: &[String], drawn: &[String]) -> Vec<String> {
        let (family, mut notes) = (self.config.family, Vec::new());
        if !self.wrappers.is_empty() {
            let wrappers = self.wrappers.join(" and ");
            notes.push(format!("the names of the model's tensors begin with {wrappers}, which is left out"));
        }
        if drawn.iter().any(|name| family.is_of_pooler(&family.plain_name(name))) {
            notes.push("the model has no pooler; one was drawn from the run's seed".to_owned());
        }
        if !known.iter().any(|name| family.is_of_pooler(name))
            && self.tensors.keys().any(|name| family.is_of_pooler(name))
        {
            let training = if head == Head::Spans { "span extraction" } else { "masked-LM training" };
            notes.push(format!("the model's pooler takes no part in {training} and is not kept"));
        }
        let mut extra: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|n| {
                let usual = family.is_of_head(n) || family.is_of_pooler(n) || n.ends_with("position_ids");
                !usual && !known.iter().any(|k| k == n)
            })
            .collect();
        extra.sort_unstable();
        if !extra.is_empty() {
            notes.push(format!("{} tensors of the model are not used, first {}", extra.len(), extra[0]));
        }
        notes
    }
}

impl Bert {
    /// The bytes of `model.safetensors` under Hugging Face's names.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        self.to_safetensors_as(Stored::F32)
    }

    /// The same with the weights in this format.
    pub fn to_safetensors_as(&self, stored: Stored) -> Result<Vec<u8>> {
        let failed = |e: &dyn std::fmt::Display| Error::internal(format!("cannot serialise the model: {e}"));
        let bytes_of = |range: std::ops::Range<usize>| -> Vec<u8> {
            let values = self.params.data[range].iter();
            match stored {
                Stored::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
                Stored::F16 => values.flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            }
        };
        let too_large = |v: &&f32| v.abs() > f16::MAX.to_f32();
        if let (Stored::F16, Some(value)) = (stored, self.params.data.iter().find(too_large)) {
            return Err(Error::usage(format!(
                "a weight of this model is {value}, more than 16 bits hold (65504). Store it in 32 bits, without --half."
            )));
        }
        let dtype = match stored {
            Stored::F32 => safetensors::Dtype::F32,
            Stored::F16 => safetensors::Dtype::F16,
        };
        let mut tensors = Vec::new();
        for entry in &self.params.layout.entries {
            tensors.push((entry.name.clone(), entry.shape.clone(), bytes_of(entry.range.clone())));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| {
                let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes);
                Ok((name.as_str(), view.map_err(|e| failed(&e))?))
            })
            .collect::<Result<Vec<_>>>()?;
        // A program that loads the file expects the format's name in its metadata.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
    }

    /// The text of `config.json`: the source model's, with the labels (`LABEL_i` when no names are given) and, when
    /// units were removed, what is left.
    pub fn to_config_json(&self, label_names: &[&str]) -> Result<String> {
        let (mut map, family) = (self.config.to_object()?, self.config.family);
        let [classifier, masked_lm, spans] = family.classes;
        let architecture = match self.head {
            Head::Classifier { .. } => classifier,
            Head::MaskedLm => masked_lm,
            Head::Spans => spans,
        };
        map.insert("architectures".into(), json!([architecture]));
        // What the source model said of its own task and number format must not stay.
        for key in ["dtype", "torch_dtype"].iter().filter(|key| self.config.rest.contains_key(**key)) {
            map.insert((*key).into(), json!("float32"));
        }
        // transformers counts the labels of `id2label`. All of these are written anew, or not at all.
        for key in ["problem_type", "num_labels", "id2label", "label2id", "lottery"] {
            map.shift_remove(key);
        }
        match self.head {
            Head::Classifier { labels } => describe_labels(&mut map, labels, label_names),
            // transformers' classes have two outputs without being told.
            Head::Spans => {}
            // The decoder is the word embeddings.
            Head::MaskedLm => _ = map.insert("tie_word_embeddings".into(), json!(true)),
        }
        if self.shape != self.config.full_shape() {
            map.insert("lottery".into(), json!({ "layers": self.shape }));
        }
        serde_json::to_string_pretty(&map).map_err(|e| Error::internal(e.to_string()))
    }
}

fn describe_labels(map: &mut Map<String, Value>, labels: usize, label_names: &[&str]) {
    if labels == 1 {
        map.insert("problem_type".into(), json!("regression"));
    }
    let names: Vec<String> = match label_names {
        [] => (0..labels).map(|i| format!("LABEL_{i}")).collect(),
        names => names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let by_number = names.iter().enumerate().map(|(i, name)| (i.to_string(), json!(name)));
    map.insert("id2label".into(), Value::Object(by_number.collect()));
    let by_name = names.iter().enumerate().map(|(i, name)| (name.clone(), json!(i)));
    map.insert("label2id".into(), Value::Object(by_name.collect()));
}
