//! A finished stage.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{FORMAT_VERSION, StageId};
use crate::error::{Error, Result};

/// Written last: a folder without it is no finished stage.
pub(super) const MANIFEST: &str = "stage.json";

/// Up to this size a file's hash is checked whenever its stage is found; above, when the file is wanted
/// ([`Done::verified_path`]).
const HASHED_ON_LOAD: u64 = 1 << 20;

/// A stage whose files are all there, with what `stage.json` says about them.
#[derive(Clone, Debug)]
pub struct Done {
    id: StageId,
    dir: PathBuf,
    info: Value,
}

impl Done {
    pub(super) fn new(id: StageId, dir: PathBuf, info: Value) -> Self {
        Self { id, dir, info }
    }

    pub(super) fn load(id: &StageId, dir: &Path) -> Result<Option<Self>> {
        let manifest = dir.join(MANIFEST);
        let text = match fs::read(&manifest) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&manifest, "read", &error)),
        };
        let info = serde_json::from_slice(&text)
            .map_err(|error| damaged(dir, MANIFEST, &format!("is not valid JSON ({error})")))?;
        let done = Self::new(id.clone(), dir.to_owned(), info);
        done.verify()?;
        Ok(Some(done))
    }

    pub fn id(&self) -> &StageId {
        &self.id
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The whole of `stage.json`.
    pub fn info(&self) -> &Value {
        &self.info
    }

    /// The path of one of the stage's files; a data error where the stage has none of this name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        if self.info["files"].get(name).is_some() {
            Ok(self.dir.join(name))
        } else {
            Err(damaged(
                &self.dir,
                name,
                &format!("is not among the files of {}", self.dir.join(MANIFEST).display()),
            ))
        }
    }

    /// [`path`](Self::path) of a file whose hash was compared now, however big it is.
    pub fn verified_path(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name)?;
        let hash = File::open(&path).and_then(|file| hash_file(&file));
        if self.info["files"][name]["blake3"] != hash.map_err(|e| Error::io(&path, "read", &e))?.as_str() {
            return Err(changed(&self.dir, name));
        }
        Ok(path)
    }

    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        fs::read(&path).map_err(|error| Error::io(&path, "read", &error))
    }

    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|error| damaged(&self.dir, name, &format!("does not hold what it should ({error})")))
    }

    /// Compares every file's size with `stage.json`, and the hash of those below 1 MiB.
    pub fn verify(&self) -> Result<()> {
        let version = &self.info["format_version"];
        if *version != FORMAT_VERSION {
            return Err(damaged(
                &self.dir,
                MANIFEST,
                &format!("has format version {version}, not {FORMAT_VERSION}"),
            ));
        }
        let Some(files) = self.info["files"].as_object() else {
            return Err(damaged(&self.dir, MANIFEST, "lists no files"));
        };
        for (name, facts) in files {
            let path = self.dir.join(name);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(damaged(&self.dir, name, "is missing"));
                }
                Err(error) => return Err(Error::io(&path, "read", &error)),
            };
            let failed = |error: io::Error| Error::io(&path, "read", &error);
            let size = file.metadata().map_err(failed)?.len();
            let recorded = &facts["size"];
            if *recorded != size {
                let what = format!("has {size} bytes where {recorded} were written");
                return Err(damaged(&self.dir, name, &what));
            }
            if size < HASHED_ON_LOAD && facts["blake3"] != hash_file(&file).map_err(failed)?.as_str() {
                return Err(changed(&self.dir, name));
            }
        }
        Ok(())
    }
}

fn changed(dir: &Path, name: &str) -> Error {
    damaged(dir, name, "was changed after it was written")
}

fn damaged(dir: &Path, name: &str, what: &str) -> Error {
    Error::data(format!(
        "stage {} is damaged: {name} {what}. Delete {} and run the same command again.",
        dir.file_name().unwrap_or_default().display(),
        dir.display()
    ))
}

/// BLAKE3 in hex, of what is left to read.
pub(super) fn hash_file(file: &File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}
