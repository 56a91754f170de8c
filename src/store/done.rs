//! A finished stage.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    HashKind, Hashes, StageId,
    atomic::{atomic_write, remove, sync_folder},
    hashes,
    manifest::{self, MANIFEST, OTHERS, REMOVED},
};
use crate::{
    error::{Error, Result},
    file,
};

/// Below this size a file is hashed as fast as its hash is looked up.
const SMALL: u64 = 1 << 20;

/// A finished stage with the contents of its `stage.json`. All its files are there, except those that were removed to
/// save disk space.
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

    /// Loads the stage and verifies its files: small ones by their hash, large ones by their hash if `hashes` is given,
    /// otherwise by their size.
    pub(super) fn load(id: &StageId, dir: &Path, hashes: Option<&Hashes>) -> Result<Option<Self>> {
        let found = Self::read_manifest(id, dir)?;
        found.as_ref().map_or(Ok(()), |done| done.verify(hashes))?;
        Ok(found)
    }

    /// [`load`](Self::load) without verifying the files.
    pub(super) fn read_manifest(id: &StageId, dir: &Path) -> Result<Option<Self>> {
        let Some(text) = file::read_if_there(&dir.join(MANIFEST))? else { return Ok(None) };
        let info: Value = serde_json::from_slice(&text)
            .map_err(|error| damaged(dir, MANIFEST, &format!("is not valid JSON ({error})")))?;
        let stage = manifest::check(&info).map_err(|why| damaged(dir, MANIFEST, &why))?;
        if stage != *id {
            return Err(damaged(dir, MANIFEST, &format!("is that of {stage}")));
        }
        Ok(Some(Self::new(stage, dir.to_owned(), info)))
    }

    /// The finished stage in this folder, with the id that it names itself, its files not verified; `None` if there is no
    /// intact `stage.json`.
    pub fn of_folder(dir: &Path) -> Option<Self> {
        let text = file::read_if_there(&dir.join(MANIFEST)).ok()??;
        let info: Value = serde_json::from_slice(&text).ok()?;
        Some(Self::new(manifest::check(&info).ok()?, dir.to_owned(), info))
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

    /// Whether both list the same files with the same hashes, removed or not.
    pub fn is_same(&self, other: &Self) -> bool {
        let hashes = |done: &Self| -> Vec<Value> {
            let mut files = done.files();
            files.sort();
            files.into_iter().map(|name| json!([name, done.info["files"][&name]["blake3"]])).collect()
        };
        self.id == other.id && hashes(self) == hashes(other)
    }

    /// The names of its files, including removed ones.
    pub fn files(&self) -> Vec<String> {
        self.info["files"].as_object().map(|files| files.keys().cloned().collect()).unwrap_or_default()
    }

    /// Whether the file was removed to save disk space.
    pub fn is_removed(&self, name: &str) -> bool {
        self.info["files"][name][REMOVED] == true
    }

    /// The path of one of the stage's files.
    ///
    /// # Errors
    /// Data: the stage has no file of this name, or it was removed.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        if self.is_removed(name) {
            return Err(Error::data(format!(
                "{name} of stage {} was removed to save disk space (`lottery gc` or --keep). To restore it, delete {} and repeat \
                 the command that computed the stage.",
                self.id,
                self.dir.display()
            )));
        }
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

    /// [`path`](Self::path) of a file whose hash has just been verified, whatever its size.
    pub fn verified_path(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name)?;
        let hash = hash_file(&path);
        if !self.is_hash(name, &hash.map_err(|e| Error::io(&path, "read", &e))?) {
            return Err(changed(&self.dir, name));
        }
        Ok(path)
    }

    pub(super) fn is_hash(&self, name: &str, blake3: &str) -> bool {
        self.info["files"][name]["blake3"] == blake3
    }

    /// Whether the file is there with the recorded hash, even if marked as removed.
    pub(super) fn is_whole(&self, name: &str) -> Result<bool> {
        let path = self.dir.join(name);
        match hash_file(&path) {
            Ok(hash) => Ok(self.is_hash(name, &hash)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path, "read", &e)),
        }
    }

    /// The programs that are known to compute different bits for the removed file.
    pub(super) fn others(&self, name: &str) -> impl Iterator<Item = &str> {
        self.info["files"][name][OTHERS].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// Marks the files as removed, then removes them. The caller holds the stage's lock, as for every change of a stage.
    pub(super) fn remove(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            self.change(name, |facts| {
                facts.insert(REMOVED.into(), json!(true));
            });
        }
        self.write_manifest()?;
        names.iter().try_for_each(|name| remove(&self.dir.join(name)))?;
        sync_folder(&self.dir).map_err(|e| Error::io(&self.dir, "write", &e))
    }

    /// Unmarks a restored file.
    pub(super) fn unmark(&mut self, name: &str) -> Result<()> {
        self.change(name, |facts| facts.retain(|key, _| key != REMOVED && key != OTHERS));
        self.write_manifest()
    }

    pub(super) fn note_other(&mut self, name: &str, program: &str) -> Result<()> {
        let others: Vec<&str> = self.others(name).chain([program]).collect();
        let others = json!(others);
        self.change(name, |facts| {
            facts.insert(OTHERS.into(), others);
        });
        self.write_manifest()
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        if let Some(facts) = self.info["files"][name].as_object_mut() {
            change(facts);
        }
    }

    fn write_manifest(&self) -> Result<()> {
        atomic_write(&self.dir.join(MANIFEST), format!("{:#}\n", self.info).as_bytes())
    }

    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        file::read(&path, file::LARGEST_JSON).map_err(|error| match error.kind() {
            // It was there when the stage was found.
            ErrorKind::NotFound => self.damaged(name, "is missing"),
            _ => Error::io(&path, "read", &error),
        })
    }

    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|error| self.damaged(name, &format!("has unexpected content ({error})")))
    }

    /// The error for a file of the stage that is not as it should be.
    pub fn damaged(&self, name: &str, what: &str) -> Error {
        damaged(&self.dir, name, what)
    }

    /// Compares every file's size and hash with `stage.json`; without `hashes`, only the size of large files.
    fn verify(&self, hashes: Option<&Hashes>) -> Result<()> {
        let Some(files) = self.info["files"].as_object() else { return Ok(()) };
        for (name, facts) in files.iter().filter(|(name, _)| !self.is_removed(name)) {
            let path = self.dir.join(name);
            let mut file = match file::open(&path) {
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
                let what = format!("has {size} bytes instead of {recorded}");
                return Err(damaged(&self.dir, name, &what));
            }
            let hash = match hashes {
                _ if size < SMALL => hashes::hash(HashKind::Blake3, &mut file),
                Some(hashes) => hashes.hash_of(HashKind::Blake3, &path, &mut file),
                None => continue,
            };
            if facts["blake3"] != hash.map_err(failed)?.as_str() {
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

fn hash_file(path: &Path) -> io::Result<String> {
    hashes::hash(HashKind::Blake3, &mut file::open(path)?)
}
