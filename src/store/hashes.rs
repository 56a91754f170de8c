//! A cache of file hashes: each is computed once for as long as the file does not change.
//!
//! A hash is cached with the file's device, inode, size, modification and change time. The change time is set by the
//! system, so a program that restores the modification time after changing the content is detected too. A file changed
//! less than two seconds ago is hashed but not cached, since the next change may get the same times (git's "racy"
//! files). Damage that changes no time, such as a bit lost by the disk, is not detected while the hash is cached.
//!
//! Hashes of small files are cached in memory only, since reading the file is as fast as looking it up; those of large
//! files also in `<store>/cache/hashes.json`. That file only saves time: if it is damaged or cannot be written it is
//! ignored, and it can be removed at any time.

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

use super::{atomic_write, canonical_json};
use crate::{
    error::{Error, Result},
    file,
};

const FORMAT_VERSION: u32 = 1;

/// Hashes of files from this size on are cached on disk.
const LARGE: u64 = 1 << 20;

/// A file changed more recently than this may change again without its times changing.
const RACY: Duration = Duration::from_secs(2);

/// Above this number, entries of files that are gone or changed are dropped, and then any.
const MOST: usize = 20_000;

/// The file is written at most this often, and when the cache is dropped.
const PAUSE: Duration = Duration::from_secs(1);

/// Which hash of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// For files of stages.
    Blake3,
    /// For models and data, as other tools print it.
    Sha256,
}

/// The cache. Threads of a process share it; processes share its file.
#[derive(Debug)]
pub struct Hashes {
    path: PathBuf,
    /// Whether new hashes are written to the file.
    writes: bool,
    known: Mutex<Option<Known>>,
}

/// One hash. It is locked while it is computed, so that it is computed only once.
type Slot = Arc<Mutex<Option<Entry>>>;

#[derive(Debug)]
struct Known {
    slots: HashMap<String, Slot>,
    /// Entries to be written.
    new: BTreeMap<String, Entry>,
    written: Option<Instant>,
}

/// If any of these differs, the content may differ.
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
    /// The cache in this file, to which new hashes are added.
    pub fn open(file: &Path) -> Self {
        Self { path: file.to_owned(), writes: true, known: Mutex::new(None) }
    }

    /// The cache in this file, which is not written.
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

    /// The hash of a regular file, in hex.
    ///
    /// # Errors
    /// Data: it cannot be read, or is not a regular file.
    pub fn file_hash(&self, kind: HashKind, path: &Path) -> Result<String> {
        let failed = |error: io::Error| Error::io(path, "read", &error);
        let mut file = file::open(path).map_err(failed)?;
        self.hash_of(kind, path, &mut file).map_err(failed)
    }

    /// The hash of this open file, whose path is `path`.
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
        // A file that changes while it is read is not cached.
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

    /// Writes new hashes to the file, which also happens from time to time and on drop.
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

    /// Merges new hashes into the file. If two processes write at the same moment, one of them loses its hashes and will
    /// compute them again; failing to write is no error.
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

/// The entries in the file; none if it is damaged.
fn saved(path: &Path) -> BTreeMap<String, Entry> {
    let bytes = file::read(path, file::LARGEST_JSON).unwrap_or_default();
    let saved = serde_json::from_slice::<Saved>(&bytes).ok();
    let whole = |saved: &Saved| {
        saved.format_version == FORMAT_VERSION && seal(&saved.files).is_ok_and(|seal| seal == saved.seal)
    };
    saved.filter(whole).map(|saved| saved.files).unwrap_or_default()
}

fn seal(files: &BTreeMap<String, Entry>) -> Result<String> {
    Ok(blake3::hash(canonical_json(&json!(files))?.as_bytes()).to_hex().to_string())
}

/// The key of an entry; `None` if the path is not UTF-8. The device is part of it, since on machines that share a store
/// the same path may be different files.
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

/// The hash of the rest of the file.
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

    /// Whether both times are long enough ago; times in the future are not.
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

/// A poisoned lock is used as it is: every change under it is a single assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
