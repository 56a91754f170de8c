//! Hugging Face folders: `config.json` and `model.safetensors`, in and out.

use super::{
    bert::Bert,
    config::BertConfig,
    folder::{self, Stored as Saved},
    params::{Entry, Head, LayerShape, Layout},
};
use crate::error::{Error, Result};
use candle_core::DType;
use half::f16;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, path::Path};

/// How weights are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    F32,
    F16,
}

/// A model's folder, read: the unpruned encoder, before a classifier is chosen.
#[derive(Clone, Debug)]
pub struct Pretrained {
    pub config: BertConfig,
    pub sha256: String,
    /// What was read besides what is needed, or drawn because it was missing; worth telling.
    pub notes: Vec<String>,
    shape: Vec<LayerShape>,
    tensors: HashMap<String, Saved>,
    file: String,
}

impl Pretrained {
    /// Reads `DIR/config.json` and `DIR/model.safetensors`.
    pub fn load(dir: &Path) -> Result<Self> {
        let config = BertConfig::load(dir)?;
        let shape = config.saved_shape()?;
        let path = dir.join("model.safetensors");
        let bytes = folder::read(dir)?;
        let file = path.display().to_string();
        let read = folder::tensors(&bytes, &file)?;
        let mut tensors = HashMap::with_capacity(read.len());
        for (name, tensor) in read {
            let plain = plain_name(&name);
            if tensors.insert(plain.clone(), tensor).is_some() {
                return Err(Error::data(format!(
                    "{file}: holds tensor {plain} twice, under its own name and another spelling of it (such as bert.{plain}). \
                     Which of the two is the model's cannot be told; save it again with one of them."
                )));
            }
        }
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        Ok(Self { config, sha256, notes: Vec::new(), shape, tensors, file })
    }

    /// The model with this head. The head's tensors are the file's when it has them, for as many labels if it is a
    /// classifier, and `fresh_head` is false; otherwise they are drawn from `seed`. A missing pooler is always drawn.
    pub fn build(&mut self, head: Head, seed: u64, fresh_head: bool) -> Result<Bert> {
        if head == Head::MaskedLm && self.config.rest.get("tie_word_embeddings") == Some(&json!(false)) {
            return Err(Error::data(format!(
                "{}: its config.json says \"tie_word_embeddings\": false, so its masked-LM decoder has weights of its own, \
                 and lottery has the published BERT's only, whose decoder is the word embeddings. Choose another model.",
                self.file
            )));
        }
        let entries = Layout::new(&self.config, &self.shape, head).entries;
        let find = |entry: &Entry| {
            let name = plain_name(&entry.name);
            let tensor = self.tensors.get(&name);
            // A classifier for another number of labels belongs to another task.
            let wanted = |t: &&Saved| {
                let fits = matches!(t, Saved::Weights(t) if t.dims() == entry.shape);
                !is_of_head(&name) || (!fresh_head && (name.starts_with("cls.") || fits))
            };
            let tensor = tensor.filter(wanted);
            (name, tensor)
        };
        // Before a buffer is allocated whose size is what config.json says.
        let (mut missing, mut drawn) = (Vec::new(), Vec::new());
        for entry in &entries {
            match find(entry) {
                (name, Some(Saved::Other(dtype))) => {
                    return Err(Error::data(format!(
                        "{}: tensor {name} is of type {dtype}, and weights are needed as f32, f16, bf16 or f64. Quantized \
                         models cannot be trained; choose the original one.",
                        self.file
                    )));
                }
                (name, Some(Saved::Weights(tensor))) if tensor.dims() != entry.shape => {
                    return Err(self.other_shape(&name, tensor.dims(), &entry.shape));
                }
                (_, Some(Saved::Weights(_))) => {}
                (name, None) if is_of_head(&name) || name.starts_with("pooler.") => {
                    drawn.push(entry.name.clone());
                }
                (name, None) => missing.push(name),
            }
        }
        if let Some(first) = missing.first() {
            return Err(self.missing(first, missing.len(), entries.len()));
        }
        let mut bert = Bert::zeros(self.config.clone(), self.shape.clone(), head);
        for entry in &entries {
            if let (name, Some(Saved::Weights(tensor))) = find(entry) {
                let values = tensor
                    .to_dtype(DType::F32)
                    .and_then(|t| t.flatten_all()?.to_vec1::<f32>())
                    .map_err(|e| {
                        Error::data(format!("{}: tensor {name}: {}", self.file, first_line(&e.to_string())))
                    })?;
                if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                    return Err(Error::data(format!(
                        "{}: tensor {name} holds {} at element {at}. The file is damaged; fetch it again.",
                        self.file, values[at]
                    )));
                }
                bert.params.data[entry.range.clone()].copy_from_slice(&values);
            }
        }
        bert.initialise(seed, |name| drawn.iter().any(|d| d == name));
        self.notes = self.describe(&entries.iter().map(|e| plain_name(&e.name)).collect::<Vec<_>>(), &drawn);
        if !fresh_head && drawn.iter().any(|n| is_of_head(n)) {
            let what = match head {
                Head::Classifier { labels } => format!("classifier for {labels} labels"),
                Head::MaskedLm => "whole masked-LM head".to_owned(),
            };
            self.notes
                .push(format!("the model has no {what}; what is missing was drawn from the run's seed"));
        }
        Ok(bert)
    }

    fn other_shape(&self, name: &str, found: &[usize], wanted: &[usize]) -> Error {
        let fewer = found.iter().zip(wanted).all(|(found, wanted)| found <= wanted);
        let cause = if name.contains(".attention.") && fewer && found.len() == wanted.len() {
            "If heads were pruned from it (prune_heads of transformers), give --model the whole model; else the two files \
             are not of one model: fetch both again."
        } else {
            "The two files are not of one model; fetch both again."
        };
        Error::data(format!(
            "{}: tensor {name} has shape {found:?}, and config.json asks for {wanted:?}. {cause}",
            self.file
        ))
    }

    fn missing(&self, first: &str, missing: usize, all: usize) -> Error {
        let remedy = match folder::wrapper(self.tensors.keys().map(String::as_str)) {
            Some(prefix) => format!(
                "The names begin with {prefix}: the model was saved from within another (a wrapper such as DataParallel's \
                 module. or torch.compile's _orig_mod., or a larger model). Save the BERT itself: \
                 `model.{}.save_pretrained(FOLDER)`.",
                prefix.trim_end_matches('.')
            ),
            None => "Use a BERT checkpoint that fits its config.json.".to_owned(),
        };
        Error::data(format!("{}: {missing} of {all} tensors are missing, first {first}. {remedy}", self.file))
    }

    fn describe(&self, known: &[String], drawn: &[String]) -> Vec<String> {
        let mut notes = Vec::new();
        if drawn.iter().any(|n| n.contains("pooler")) {
            notes.push("the model has no pooler; one was drawn from the run's seed".to_owned());
        }
        if !known.iter().any(|name| name.starts_with("pooler."))
            && self.tensors.contains_key("pooler.dense.weight")
        {
            notes.push("the model's pooler takes no part in masked-LM training and is not kept".to_owned());
        }
        let mut extra: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|n| {
                let usual = is_of_head(n) || n.starts_with("pooler.") || n.ends_with("position_ids");
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

/// Names without `bert.`, and LayerNorm's old TensorFlow names replaced.
fn plain_name(name: &str) -> String {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

/// Whether a tensor belongs to what stands on the encoder; a file may have other heads than the one that is wanted.
fn is_of_head(name: &str) -> bool {
    name.starts_with("classifier.") || name.starts_with("cls.")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
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
        let value = serde_json::to_value(&self.config).map_err(|e| Error::internal(e.to_string()))?;
        let Value::Object(mut map) = value else { return Err(Error::internal("a config is an object")) };
        map.insert("model_type".into(), json!("bert"));
        let architecture = match self.head {
            Head::Classifier { .. } => "BertForSequenceClassification",
            Head::MaskedLm => "BertForMaskedLM",
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
