//! Hashes of files, each computed once for as long as the file stays as it is.
//!
//! A hash is remembered with the file's device, inode, size, modification and change time. The change time is the
//! system's own: a program that restores the modification time after it has changed the content is noticed too. A
//! file that was changed less than two seconds ago is hashed and not remembered, since the next change may get the same
//! times (the "racy" files of git). Damage that changes no time, such as a bit that the disk itself has lost, is not
//! noticed while the hash is remembered.
//!
//! Small files are remembered by the process alone, for they are read as fast as they are looked up; large ones also in
//! `<store>/cache/hashes.json`. That file is worth nothing but time: one that is damaged, or cannot be written, is
//! passed over, and removing it is always right.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{atomic_write, canonical_json, regular};
use crate::error::{Error, Result};

const FORMAT_VERSION: u32 = 1;

/// From this size on a file's hash is remembered on the disk.
const LARGE: u64 = 1 << 20;

/// A file that was changed more recently may change once more without getting other times.
const RACY: Duration = Duration::from_secs(2);

/// When there are more, those of files that are gone or changed are forgotten, and then any.
const MOST: usize = 20_000;

/// The file is written at most this often, and at the end.
const PAUSE: Duration = Duration::from_secs(1);

/// Which hash of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// Of the files of stages.
    Blake3,
    /// Of models and data, as other tools print it.
    Sha256,
}

/// Remembers hashes of files. Shared by the threads of a process; processes share the file.
#[derive(Debug)]
pub struct Hashes {
    path: PathBuf,
    /// Whether new hashes are written to the file.
    writes: bool,
    known: Mutex<Option<Known>>,
}

/// A place for one hash. Whoever computes it holds the lock, so that it is computed once.
type Slot = Arc<Mutex<Option<Entry>>>;

#[derive(Debug)]
struct Known {
    slots: HashMap<String, Slot>,
    /// Entries to be written.
    new: BTreeMap<String, Entry>,
    written: Option<Instant>,
}

/// When one of these is another, the content may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    stamp: Stamp,
    hash: String,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format_version: u32,
    /// BLAKE3 of the canonical JSON of `files`.
    seal: String,
    files: BTreeMap<String, Entry>,
}

impl Hashes {
    /// Those in this file, if there is one, and further ones, which are added to it.
    pub fn open(file: &Path) -> Self {
        Self { path: file.to_owned(), writes: true, known: Mutex::new(None) }
    }

    /// Those in this file, which stays as it is.
    pub fn read_only(file: &Path) -> Self {
        Self { path: file.to_owned(), writes: false, known: Mutex::new(None) }
    }

    /// BLAKE3 of the file's bytes, in hex.
    pub fn blake3(&self, path: &Path) -> Result<String> {
        self.file_hash(HashKind::Blake3, path)
    }

    /// SHA-256 of the file's bytes, in hex.
    pub fn sha256(&self, path: &Path) -> Result<String> {
        self.file_hash(HashKind::Sha256, path)
    }

    /// The hash of a regular file, in hex. Data error: it cannot be read, or is no regular file.
    pub fn file_hash(&self, kind: HashKind, path: &Path) -> Result<String> {
        let failed = |error: io::Error| Error::io(path, "read", &error);
        let mut file = regular::open(path).map_err(failed)?;
        self.hash_of(kind, path, &mut file).map_err(failed)
    }

    /// The hash of this open file, which lies at `path`.
    pub(super) fn hash_of(&self, kind: HashKind, path: &Path, file: &mut File) -> io::Result<String> {
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata)?;
        let Some(key) = key(kind, path, &metadata) else { return hash(kind, file) };
        let slot = self.slot(&key);
        let mut slot = lock(&slot);
        if let Some(known) = slot.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(known.hash.clone());
        }
        let hash = hash(kind, file)?;
        // What changes while it is read has no hash that lasts.
        if Stamp::of(&file.metadata()?)? == stamp && stamp.is_settled(SystemTime::now()) {
            let entry = Entry { stamp, hash: hash.clone() };
            *slot = Some(entry.clone());
            drop(slot);
            if stamp.size >= LARGE {
                self.add(key, entry);
            }
        }
        Ok(hash)
    }

    fn slot(&self, key: &str) -> Slot {
        let mut known = lock(&self.known);
        let known = known.get_or_insert_with(|| Known::load(&self.path));
        Arc::clone(known.slots.entry(key.to_owned()).or_default())
    }

    fn add(&self, key: String, entry: Entry) {
        let mut known = lock(&self.known);
        let known = known.get_or_insert_with(|| Known::load(&self.path));
        known.new.insert(key, entry);
        if self.writes && known.written.is_none_or(|at| at.elapsed() >= PAUSE) {
            known.save(&self.path);
        }
    }

    /// Writes what is new to the file, which also happens from time to time and at the end.
    pub fn save(&self) {
        if self.writes
            && let Some(known) = lock(&self.known).as_mut()
        {
            known.save(&self.path);
        }
    }
}

impl Drop for Hashes {
    fn drop(&mut self) {
        self.save();
    }
}

impl Known {
    fn load(path: &Path) -> Self {
        let slots = saved(path).into_iter().map(|(key, entry)| (key, Arc::new(Mutex::new(Some(entry)))));
        Self { slots: slots.collect(), new: BTreeMap::new(), written: None }
    }

    /// Beside what other processes have added meanwhile. What two write at the same moment one of them computes
    /// once more; and a store that cannot be written is no reason to fail.
    fn save(&mut self, path: &Path) {
        if self.new.is_empty() {
            return;
        }
        let mut files = saved(path);
        files.append(&mut self.new);
        if files.len() > MOST {
            files.retain(|key, entry| is_as_recorded(key, entry));
        }
        while files.len() > MOST {
            files.pop_first();
        }
        if let Ok(seal) = seal(&files)
            && let Ok(text) = serde_json::to_vec(&Saved { format_version: FORMAT_VERSION, seal, files })
        {
            let _ = atomic_write(path, &text);
        }
        self.written = Some(Instant::now());
    }
}

/// The entries of a file; none where it is damaged.
fn saved(path: &Path) -> BTreeMap<String, Entry> {
    let bytes = regular::read(path, regular::LARGEST_JSON).unwrap_or_default();
    let saved = serde_json::from_slice::<Saved>(&bytes).ok();
    let whole = |saved: &Saved| {
        saved.format_version == FORMAT_VERSION && seal(&saved.files).is_ok_and(|seal| seal == saved.seal)
    };
    saved.filter(whole).map(|saved| saved.files).unwrap_or_default()
}

fn seal(files: &BTreeMap<String, Entry>) -> Result<String> {
    Ok(blake3::hash(canonical_json(&json!(files))?.as_bytes()).to_hex().to_string())
}

/// A path means different files on the machines that share a store: the device tells them apart. `None`: no text.
fn key(kind: HashKind, path: &Path, metadata: &Metadata) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let kind = match kind {
        HashKind::Blake3 => "blake3",
        HashKind::Sha256 => "sha256",
    };
    Some(format!("{kind}:{:x}:{}", device(metadata), path.to_str()?))
}

fn is_as_recorded(key: &str, entry: &Entry) -> bool {
    let path = key.splitn(3, ':').nth(2).unwrap_or_default();
    let now = std::fs::metadata(path).and_then(|metadata| Stamp::of(&metadata));
    now.is_ok_and(|now| now == entry.stamp)
}

/// Of what is left to read.
pub(super) fn hash(kind: HashKind, file: &mut File) -> io::Result<String> {
    match kind {
        HashKind::Blake3 => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(file)?;
            Ok(hasher.finalize().to_hex().to_string())
        }
        HashKind::Sha256 => {
            let mut hasher = Sha256::new();
            let mut block = vec![0; 1 << 16];
            loop {
                match file.read(&mut block) {
                    Ok(0) => break,
                    Ok(n) => hasher.update(&block[..n]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(format!("{:x}", hasher.finalize()))
        }
    }
}

impl Stamp {
    #[cfg(unix)]
    pub fn of(file: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        Ok(Self {
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    #[cfg(not(unix))]
    pub fn of(file: &Metadata) -> io::Result<Self> {
        let since = file.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let modified = (since.as_secs() as i64, i64::from(since.subsec_nanos()));
        Ok(Self { inode: 0, size: file.len(), modified, changed: modified })
    }

    /// Whether both times are long enough ago. Those of the future are not.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Some(before) = now.checked_sub(RACY) else { return false };
        let before = (i64::try_from(before.as_secs()).unwrap_or(i64::MAX), i64::from(before.subsec_nanos()));
        self.modified < before && self.changed < before
    }
}

#[cfg(unix)]
fn device(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(file)
}

#[cfg(not(unix))]
fn device(_: &Metadata) -> u64 {
    0
}

/// What a thread that panicked left is whole: every change of it is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
