//! `model.safetensors.index.json` and `pytorch_model.bin.index.json`: which tensor is in which of several files.

use crate::{
    content::what_is,
    error::{Error, Result, excerpt},
    file,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// An index whose names are those of files beside it.
#[derive(Clone, Debug, Deserialize)]
pub struct Index {
    /// File by tensor.
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// # Errors
    /// `Error::Data`: no such file, no index, or one that names something else than files of weights beside it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = file::read(path, file::LARGEST_JSON).map_err(|error| Error::io(path, "read", &error))?;
        Self::parse(&bytes).map_err(|why| match what_is(&bytes) {
            Some(other) => other.found_in(path),
            None => Error::data(format!("{}: {why}. Fetch it again.", path.display())),
        })
    }

    /// # Errors
    /// What is wrong with it, for a message.
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let index: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("no index of weights ({error})"))?;
        if index.weight_map.is_empty() {
            return Err("its weight_map is empty".to_owned());
        }
        match index.weight_map.values().find(|name| !is_file_name(name)) {
            Some(name) => Err(format!(
                "weight_map names {:?}, and the name of a file beside it is needed, which ends in .safetensors or .bin",
                excerpt(name)
            )),
            None => Ok(index),
        }
    }

    /// The files' names in their order, each once.
    pub fn files(&self) -> Vec<&str> {
        self.weight_map.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The names of the tensors in a file.
    pub fn tensors_of(&self, file: &str) -> impl Iterator<Item = &str> {
        self.weight_map.iter().filter(move |(_, of)| *of == file).map(|(name, _)| name.as_str())
    }
}

/// Whether this is a plain name of a file of weights, on every system.
pub fn is_file_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+=".contains(c);
    let ends = name.ends_with(".safetensors") || name.ends_with(".bin");
    ends && name.len() <= 200 && !name.starts_with('.') && name.chars().all(is_plain)
}
