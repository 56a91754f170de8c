//! A stage while it is being computed.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{
    Done, FORMAT_VERSION, HashKind, Lease, StageId,
    atomic::{TEMPORARY, atomic_write, atomic_write_with, sync},
    hashes,
    links::refuse_link,
    manifest::{self, CHECKPOINT, MANIFEST, is_file_name},
};
use crate::{
    error::{Error, Result},
    file,
};

/// The right to write a stage's folder. If it is dropped without [`finish`](Self::finish), the stage remains undone.
#[derive(Debug)]
pub struct StageWriter {
    id: StageId,
    dir: PathBuf,
    lease: Lease,
}

impl StageWriter {
    /// Takes over the folder under its lock. Files of a killed process are removed, except for its checkpoint.
    pub(super) fn take(id: StageId, dir: PathBuf, lease: Lease) -> Result<Self> {
        refuse_link(&dir)?;
        fs::create_dir_all(&dir).map_err(|error| Error::io(&dir, "create", &error))?;
        for (name, path) in entries(&dir)? {
            // Something else in the checkpoint's place is removed as well; of a link, the link itself.
            if name != CHECKPOINT || !is_folder(&path) {
                remove(&path).map_err(|error| Error::io(&path, "remove", &error))?;
            }
        }
        Ok(Self { id, dir, lease })
    }

    pub fn id(&self) -> &StageId {
        &self.id
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a resumable stage keeps its state, removed once the stage is done. The folder is not created here.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.dir.join(CHECKPOINT)
    }

    /// The path of a file of this stage, for code that writes the file itself.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        if is_file_name(name) {
            Ok(self.dir.join(name))
        } else {
            Err(Error::internal(format!("{name:?} cannot be the name of a stage's file")))
        }
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        atomic_write(&self.path(name)?, bytes)
    }

    /// [`write`](Self::write) for content that is too big to hold in memory.
    pub fn write_with(&self, name: &str, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        atomic_write_with(&self.path(name)?, fill)
    }

    /// Completes the stage: writes `stage.json` with `info` (an object: config, inputs, versions, device, timing), the size
    /// and BLAKE3 hash of every file in the folder, and a hash over all of that.
    pub fn finish(self, info: Value) -> Result<Done> {
        let Value::Object(mut manifest) = info else {
            return Err(Error::internal(format!("the info of stage {} is not a JSON object", self.id)));
        };
        let mut files = Map::new();
        for (name, path) in entries(&self.dir)? {
            if name == CHECKPOINT {
                continue;
            }
            if name.starts_with(TEMPORARY) {
                remove(&path).map_err(|error| Error::io(&path, "remove", &error))?;
                continue;
            }
            let failed = |error: io::Error| Error::io(&path, "read", &error);
            if !is_file_name(&name) {
                return Err(Error::internal(format!("{name:?} cannot be the name of a stage's file")));
            }
            let mut file = file::open(&path).map_err(failed)?;
            // Files that were not written by this writer must be durable before the stage counts as done.
            sync(&file).map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            let blake3 = hashes::hash(HashKind::Blake3, &mut file).map_err(failed)?;
            files.insert(name, json!({"size": size, "blake3": blake3}));
        }
        manifest.insert("format_version".into(), json!(FORMAT_VERSION));
        manifest.insert("lottery_version".into(), json!(env!("CARGO_PKG_VERSION")));
        manifest.insert("stage".into(), json!(self.id.as_str()));
        manifest.insert("files".into(), Value::Object(files));
        manifest::seal(&mut manifest);
        let manifest = Value::Object(manifest);
        self.lease.check()?;
        atomic_write(&self.dir.join(MANIFEST), format!("{manifest:#}\n").as_bytes())?;

        clear_checkpoint(&self.dir);
        Ok(Done::new(self.id, self.dir, manifest))
    }
}

/// Removes the checkpoint of a finished stage; of a link, the link itself. A failure costs only disk space.
pub(super) fn clear_checkpoint(dir: &Path) {
    let _ = remove(&dir.join(CHECKPOINT));
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |error: io::Error| Error::io(dir, "list", &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    found.sort();
    Ok(found)
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_holds_plain_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let lock = super::super::Lock::at(&folder.path().join("lock")).unwrap().take().unwrap().unwrap();
        let id = super::super::stage_id("finetune", &json!({}));
        let writer = StageWriter::take(id, folder.path().join("stage"), lock).unwrap();
        for wrong in ["", "..", "../model", "a/b", "/etc/passwd", ".hidden", MANIFEST, CHECKPOINT] {
            assert_eq!(writer.write(wrong, b"").unwrap_err().exit_code(), 1, "{wrong:?}");
        }
        assert!(writer.finish(json!([])).is_err());
    }
}
