//! The tensors of `model.safetensors`, and what lies in its place in folders that have none.

use crate::{
    content::what_is,
    error::{Error, Result},
    store::regular,
};
use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use std::{collections::HashMap, fs, path::Path};

/// A tensor of the file.
#[derive(Clone, Debug)]
pub enum Stored {
    Weights(Tensor),
    /// Of a type that no weight has, such as `I8` or `BOOL`.
    Other(String),
}

/// The bytes of `DIR/model.safetensors`.
///
/// # Errors
/// There is none, with what is there in its place: shards, a pickle, an adapter.
pub fn read(dir: &Path) -> Result<Vec<u8>> {
    let path = dir.join("model.safetensors");
    let error = match regular::read(&path, u64::MAX) {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    let has = |name: &str| dir.join(name).exists();
    let here = dir.display();
    if path.exists() {
        return Err(Error::io(&path, "read", &error));
    }
    if has("model.safetensors.index.json") || has_shards(dir) {
        return Err(Error::data(format!(
            "{here}: the weights are in several files (model-00001-of-….safetensors), and lottery reads one. Join them once \
             in Python: `AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER, max_shard_size=\"100GB\")`."
        )));
    }
    if has("adapter_config.json") || has("adapter_model.safetensors") {
        return Err(Error::data(format!(
            "{here}: this folder has an adapter (adapter_config.json), not a model. Merge it into its model and save that \
             (merge_and_unload and save_pretrained of peft), or give --model the model itself."
        )));
    }
    if has("pytorch_model.bin") || has("pytorch_model.bin.index.json") {
        return Err(Error::data(format!(
            "{here}: this folder has pytorch_model.bin, a pickle that can run code when read, and no model.safetensors. \
             Convert it once in Python: `AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER, safe_serialization=True)`."
        )));
    }
    Err(Error::io(&path, "read", &error))
}

fn has_shards(dir: &Path) -> bool {
    let shard = |name: &str| name.starts_with("model-00001-of-") && name.ends_with(".safetensors");
    let mut names = fs::read_dir(dir).into_iter().flatten().flatten();
    names.any(|entry| shard(&entry.file_name().to_string_lossy()))
}

/// All tensors by their names in the file; `file` is for messages.
pub fn tensors(bytes: &[u8], file: &str) -> Result<HashMap<String, Stored>> {
    let damaged =
        |why: &str| Error::data(format!("{file}: not a whole safetensors file ({why}). Fetch it again."));
    let read = SafeTensors::deserialize(bytes).map_err(|e| match what_is(bytes) {
        Some(other) => Error::data(format!("{file}: this is {}. {}", other.name, other.remedy)),
        None if bytes.is_empty() => damaged("it is empty"),
        None => damaged(&e.to_string()),
    })?;
    let mut tensors = HashMap::with_capacity(read.len());
    for (name, view) in read.iter() {
        let dtype = match view.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                tensors.insert(name.to_owned(), Stored::Other(format!("{other:?}")));
                continue;
            }
        };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)
            .map_err(|e| damaged(&format!("tensor {name}: {e}")))?;
        tensors.insert(name.to_owned(), Stored::Weights(tensor));
    }
    Ok(tensors)
}

/// What stands before the names of the tensors when the model was saved from within another.
pub fn wrapper<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const WORDS: &str = "embeddings.word_embeddings.weight";
    let mut prefixes: Vec<&str> = names.filter_map(|name| name.strip_suffix(WORDS)).collect();
    prefixes.sort_by_key(|prefix| prefix.len());
    prefixes.into_iter().next().filter(|prefix| !prefix.is_empty() && *prefix != "bert.")
}
