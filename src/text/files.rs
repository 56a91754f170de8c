//! The files in a model folder that define its tokenizer.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::content::what_is;
use crate::error::{Error, Result};
use crate::file;

pub(super) const JSON: &str = "tokenizer.json";
pub(super) const VOCAB: &str = "vocab.txt";
pub(super) const BPE_VOCAB: &str = "vocab.json";
pub(super) const MERGES: &str = "merges.txt";
pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_MAP: &str = "special_tokens_map.json";
pub(super) const ADDED: &str = "added_tokens.json";
pub(super) const MODEL_CONFIG: &str = "config.json";

/// The tokenizer's own files; those that exist are copied with a saved model.
const OWN: [&str; 7] = [JSON, VOCAB, CONFIG, SPECIAL_MAP, ADDED, BPE_VOCAB, MERGES];

/// Four times the largest `tokenizer.json` of the hub's multilingual models.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// The contents of the files, each read once.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
    own: Vec<(&'static str, Vec<u8>)>,
    model_config: Option<Vec<u8>>,
}

impl Files {
    /// # Errors
    /// `Error::Data` naming a file that cannot be read or is too large.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut own = Vec::new();
        for name in OWN {
            own.extend(read(&dir.join(name))?.map(|bytes| (name, bytes)));
        }
        Ok(Self { dir: dir.to_owned(), own, model_config: read(&dir.join(MODEL_CONFIG))? })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The tokenizer's own files with their names.
    pub fn own(&self) -> &[(&'static str, Vec<u8>)] {
        &self.own
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match name {
            MODEL_CONFIG => self.model_config.as_deref(),
            _ => self.own.iter().find(|(own, _)| *own == name).map(|(_, bytes)| bytes.as_slice()),
        }
    }

    /// The JSON object in this file, empty if there is no such file.
    pub fn object(&self, name: &str) -> Result<Map<String, Value>> {
        match self.get(name).map(serde_json::from_slice::<Value>) {
            None => Ok(Map::new()),
            Some(Ok(Value::Object(object))) => Ok(object),
            Some(Ok(_)) => Err(self.damaged(name, "it is not a JSON object")),
            Some(Err(error)) => Err(self.damaged(name, &error.to_string())),
        }
    }

    /// The error for a file of this folder; `what` is wrong with it.
    pub fn damaged(&self, name: &str, what: &str) -> Error {
        if let Some(content) = self.get(name).and_then(what_is) {
            return Error::data(format!(
                "{}: it is {}. {}",
                self.path(name).display(),
                content.name,
                content.remedy
            ));
        }
        Error::data(format!(
            "{}: {what}. Restore the file from the model's repository.",
            self.path(name).display()
        ))
    }
}

/// The content of a file; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    if !path.is_file() {
        return Ok(None);
    }
    file::read(path, MAX_BYTES).map(Some).map_err(|error| Error::io(path, "read", &error))
}
