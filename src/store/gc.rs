//! The garbage collector: removes files of a store that are not kept, or only counts them.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    Keep, Lease, Lock, Store,
    atomic::{TEMPORARY, remove},
    lease,
    links::{STAGES, link_on_the_way},
};
use crate::error::{Error, Result};

/// A file that no lock protects is considered abandoned when it has not been written for this long.
const LONG: Duration = Duration::from_secs(3600);

/// What a removed file contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    Weights,
    /// Of interrupted or finished training runs.
    Checkpoints,
    Predictions,
    /// Files of stages that were never finished.
    Unfinished,
    /// Encoded texts.
    Tokens,
    Logs,
    Events,
    /// Files by which a sweep and its processes communicate.
    Sweeps,
    Locks,
    /// Temporary files of killed processes.
    Temporary,
}

impl FileKind {
    pub fn label(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Checkpoints => "checkpoints",
            Self::Predictions => "predictions",
            Self::Unfinished => "unfinished stages",
            Self::Tokens => "token cache",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Sweeps => "leftovers of sweeps",
            Self::Locks => "lock files",
            Self::Temporary => "temporary files",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub files: u64,
    pub bytes: u64,
}

/// Holds a lock while files are removed; no lock when they are only counted.
pub struct Guard {
    _lease: Option<Lease>,
}

/// Collects the garbage of a store.
#[derive(Debug)]
pub struct Collector {
    root: PathBuf,
    pub keep: Keep,
    pub(super) delete: bool,
    pub removed: BTreeMap<FileKind, Count>,
    /// What is in use by some process and was not removed.
    pub in_use: Vec<String>,
    /// Why other things were not removed.
    pub damaged: Vec<String>,
}

impl Collector {
    /// Without `delete`, files are only counted.
    pub fn new(store: &Store, keep: Keep, delete: bool) -> Self {
        let root = store.dir().to_owned();
        Self { root, keep, delete, removed: BTreeMap::new(), in_use: Vec::new(), damaged: Vec::new() }
    }

    /// Whether a symbolic link leads to this path, which is recorded, since nothing is removed through one. The store's
    /// `stages` may be a link.
    pub(super) fn is_behind_a_link(&mut self, path: &Path) -> bool {
        let link = link_on_the_way(&self.root, path, STAGES);
        if let Some(link) = &link {
            self.leave(&format!("{} is a symbolic link, and nothing is removed through one", link.display()));
        }
        link.is_some()
    }

    fn leave(&mut self, why: &str) {
        if !self.damaged.iter().any(|known| known == why) {
            self.damaged.push(why.to_owned());
        }
    }

    pub fn total(&self) -> Count {
        self.removed.values().fold(Count::default(), |sum, count| Count {
            files: sum.files + count.files,
            bytes: sum.bytes + count.bytes,
        })
    }

    /// Takes a lock. `None` while a process holds it, which is recorded under this name.
    pub fn lock(&mut self, path: &Path, name: &str) -> Result<Option<Guard>> {
        if self.is_behind_a_link(path) {
            return Ok(None);
        }
        for path in [path, &lease::lease_path(path)] {
            if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
                self.leave(&format!("{} should be a lock file but is not a file. Remove it", path.display()));
                return Ok(None);
            }
        }
        let guard = if self.delete {
            Lock::at(path)?.take()?.map(|lease| Guard { _lease: Some(lease) })
        } else {
            (!lease::is_held(path)).then_some(Guard { _lease: None })
        };
        if guard.is_none() {
            self.in_use.push(name.to_owned());
        }
        Ok(guard)
    }

    pub fn file(&mut self, kind: FileKind, path: &Path) -> Result<()> {
        if let Some(bytes) = size(path)?
            && !self.is_behind_a_link(path)
        {
            if self.delete {
                remove(path)?;
            }
            self.count(kind, bytes);
        }
        Ok(())
    }

    /// Removes a file that no lock protects if it is considered abandoned.
    pub fn old_file(&mut self, kind: FileKind, path: &Path) -> Result<()> {
        let modified = fs::symlink_metadata(path).and_then(|file| file.modified());
        let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age >= LONG) { self.file(kind, path) } else { Ok(()) }
    }

    /// [`old_file`](Self::old_file) for the temporary files of a folder.
    pub fn old_temporary(&mut self, dir: &Path) -> Result<()> {
        for name in names(dir)?.iter().filter(|name| name.starts_with(TEMPORARY)) {
            self.old_file(FileKind::Temporary, &dir.join(name))?;
        }
        Ok(())
    }

    /// Removes a folder with everything in it, or a file.
    pub(super) fn tree(&mut self, kind: FileKind, path: &Path) -> Result<()> {
        let is_dir = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        if !is_dir {
            return self.file(kind, path);
        }
        for name in names(path)? {
            self.tree(kind, &path.join(name))?;
        }
        self.folder(path)
    }

    /// Removes an empty folder. If it is not empty, something was added since, and it stays.
    pub(super) fn folder(&mut self, dir: &Path) -> Result<()> {
        if self.is_behind_a_link(dir) {
            return Ok(());
        }
        match self.delete.then(|| fs::remove_dir(dir)) {
            Some(Err(e)) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Err(Error::io(dir, "remove", &e))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn count(&mut self, kind: FileKind, bytes: u64) {
        let count = self.removed.entry(kind).or_default();
        *count = Count { files: count.files + 1, bytes: count.bytes + bytes };
    }
}

/// The names in a folder, sorted; none if there is no folder. Names that are not UTF-8 are none of a store's.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        other => other.map_err(|e| Error::io(dir, "list", &e))?,
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The size of a file; `None` if there is none, or another process has just removed it.
pub(super) fn size(path: &Path) -> Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(file) => Ok((!file.is_dir()).then_some(file.len())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, "read", &e)),
    }
}
