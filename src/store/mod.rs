//! The store: one folder per finished stage, named after what went into it.
//!
//! ```text
//! <store>/stages/<kind>-<hash12>/   stage.json is written last and means "done"
//! <store>/locks/<kind>-<hash12>     held by the process that computes the stage, with its lease beside it
//! <store>/results/<task>/<method>/<mode>/seed-<n>.json, and seed-<n>.<hash12>.json for other settings
//! <store>/events/<run>.jsonl        the events of a run, one per line
//! <store>/cache/hashes.json         hashes of large files, by path, device, inode, size and times
//! ```
//!
//! A finished stage never changes, so reading it takes no lock. Weights, however, may be removed to save disk space and
//! restored later; a process that needs them shares the stage's lock ([`Store::pin_or_restore`]).
//!
//! What "found in the store" guarantees: `stage.json` is as it was written (it contains a hash of itself, except for
//! the marks of removed files) and belongs to this stage, and every file that it lists and that was not removed has the
//! recorded size and BLAKE3 hash. Hashes of large files are cached for as long as the file's device, inode, size and
//! times stay the same ([`hashes`]). So a change by a program is always detected, and corruption by the disk is
//! detected when the file is read for its content: weights are hashed again whenever they are loaded
//! ([`Done::verified_path`]). Stages written before `stage.json` had its hash are accepted without it; their files are
//! verified all the same.
//!
//! Nothing in a store is trusted to have been written by this program: names are checked ([`is_name`]), only regular
//! files of a plausible size are opened ([`crate::file`]), and nothing is removed through symbolic links other than
//! `stages` ([`refuse_link`]).

mod atomic;
mod canonical;
mod done;
mod gc;
pub mod hashes;
mod keep;
mod kind;
pub mod lease;
mod links;
mod locks;
mod manifest;
mod name;
mod pin;
mod results;
mod retention;
mod stage;
mod writer;

#[cfg(test)]
mod process_tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use atomic::{atomic_write, atomic_write_with};
pub use canonical::canonical_json;
pub use done::Done;
pub use gc::{Collector, Count, FileKind, names};
pub use hashes::{HashKind, Hashes};
pub use keep::Keep;
pub use kind::{
    ABLATE, ATTENTION, EVALUATE, FINETUNE, IMPORTANCE, PRETRAIN, RETRAIN, SCORE, SEARCH, SHARED, StageKind,
    TICKET, Weights,
};
pub use lease::{Lease, Lock};
pub use links::{is_link, refuse_link};
pub use name::{deserialize_name, is_name};
pub use pin::{Availability, Pinned, Restore};
pub use retention::WEIGHTS;
pub use stage::{FORMAT_VERSION, StageId, stage_id};
pub use writer::StageWriter;

use crate::error::{Error, Result, dangling};

/// How often a process that waits for a lock tries to take it.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A folder that keeps finished stages and results across runs, and is shared by processes.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    hashes: Arc<Hashes>,
}

/// A stage, found or to be computed.
#[derive(Debug)]
pub enum Begin {
    /// Finished earlier, by this or another process, with its files as recorded.
    Done(Done),
    /// To be computed by this process; others wait until the writer is finished or dropped.
    Compute(StageWriter),
}

/// One stage of a store.
#[derive(Clone, Debug)]
pub struct StageHandle {
    id: StageId,
    dir: PathBuf,
    lock: PathBuf,
    hashes: Arc<Hashes>,
}

impl Store {
    /// Opens the store, creating it if there is none.
    ///
    /// # Errors
    /// Data: the folder cannot be written.
    pub fn open(dir: &Path) -> Result<Self> {
        let refused = |error: &std::io::Error| {
            let why = dangling(dir).unwrap_or_else(|| error.to_string());
            Error::data(format!(
                "cannot use {} as the store: {why}. Name a writable folder with --store or LOTTERY_STORE.",
                dir.display()
            ))
        };
        for room in ["stages", "locks", "results"] {
            fs::create_dir_all(dir.join(room)).map_err(|error| refused(&error))?;
        }
        // A folder may exist and still be read-only: find out before hours of training.
        tempfile::tempfile_in(dir.join("stages")).map_err(|error| refused(&error))?;
        // The store stays the same folder even if the working directory changes.
        let dir = fs::canonicalize(dir).map_err(|error| refused(&error))?;
        // Everything that is written must lie inside the store: see `links`.
        for room in ["locks", "results", "cache", "events", "sweeps"] {
            refuse_link(&dir.join(room))?;
        }
        let hashes = Arc::new(Hashes::open(&hashes_path(&dir)));
        Ok(Self { dir, hashes })
    }

    /// The store at this path, for reading. Nothing is created, and it need not exist.
    pub fn at(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(|error| Error::io(dir, "find", &error))?;
        let hashes = Arc::new(Hashes::read_only(&hashes_path(&dir)));
        Ok(Self { dir, hashes })
    }

    /// # Errors
    /// Data: no store was ever opened here. A partial copy of one is accepted.
    pub fn must_exist(&self) -> Result<()> {
        let rooms = ["stages", "results", "sweeps"];
        if rooms.iter().any(|room| self.dir.join(room).is_dir()) {
            return Ok(());
        }
        let here = self.dir.display();
        let why = dangling(&self.dir).map(|link| format!(": {link}")).unwrap_or_default();
        Err(Error::data(format!("there is no store {here}{why}. Name it with --store or LOTTERY_STORE.")))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Hashes of files anywhere, cached in this store unless it was opened for reading.
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    pub fn stage(&self, id: &StageId) -> StageHandle {
        StageHandle {
            id: id.clone(),
            dir: self.dir.join(links::STAGES).join(id.as_str()),
            lock: self.dir.join("locks").join(id.as_str()),
            hashes: Arc::clone(&self.hashes),
        }
    }

    /// The finished stage, or the right to compute it. While another process computes it, waits and keeps calling `on_wait`,
    /// which can end the wait with an error.
    ///
    /// The lock dies with its process. A process that begins a stage twice without dropping the first writer waits for
    /// itself.
    pub fn begin(&self, id: &StageId, on_wait: &mut dyn FnMut(&StageId) -> Result<()>) -> Result<Begin> {
        let stage = self.stage(id);
        if let Some(done) = stage.load()? {
            stage.clear_stale_checkpoint();
            return Ok(Begin::Done(done));
        }
        let lock = stage.lock(on_wait)?;
        // The previous holder of the lock may have finished the stage in the meantime.
        if let Some(done) = stage.load()? {
            return Ok(Begin::Done(done));
        }
        Ok(Begin::Compute(StageWriter::take(stage.id, stage.dir, lock)?))
    }
}

fn hashes_path(store: &Path) -> PathBuf {
    store.join("cache").join("hashes.json")
}

impl StageHandle {
    /// The stage's folder, whether it exists or not.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The finished stage with its files verified; `None` while it is not done.
    ///
    /// # Errors
    /// Data: the stage is damaged.
    pub fn load(&self) -> Result<Option<Done>> {
        Done::load(&self.id, &self.dir, Some(&self.hashes))
    }

    /// [`load`](Self::load) that verifies large files by their size only, for callers that verify the file they read.
    pub fn load_by_size(&self) -> Result<Option<Done>> {
        Done::load(&self.id, &self.dir, None)
    }

    /// Removes the checkpoint of a process that was killed right after it finished the stage. A checkpoint may also belong
    /// to removed weights that are being restored: those are left to `lottery gc`.
    fn clear_stale_checkpoint(&self) {
        let whole = |done: &Done| !done.files().iter().any(|name| done.is_removed(name));
        if !is_link(&self.dir)
            && self.dir.join(manifest::CHECKPOINT).exists()
            && let Ok(Some(_lock)) = Lock::at(&self.lock).and_then(|mut lock| lock.take())
            && self.load_by_size().is_ok_and(|done| done.is_some_and(|done| whole(&done)))
        {
            writer::clear_checkpoint(&self.dir);
        }
    }

    fn lock(&self, on_wait: &mut dyn FnMut(&StageId) -> Result<()>) -> Result<Lease> {
        let mut lock = Lock::at(&self.lock)?;
        loop {
            if let Some(lease) = lock.take()? {
                return Ok(lease);
            }
            on_wait(&self.id)?;
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compute(store: &Store, id: &StageId) -> StageWriter {
        match store.begin(id, &mut |_| panic!("nobody else is here")).unwrap() {
            Begin::Compute(writer) => writer,
            Begin::Done(done) => panic!("{} is done", done.id()),
        }
    }

    fn done(store: &Store, id: &StageId) -> Done {
        match store.begin(id, &mut |_| panic!("nobody else is here")).unwrap() {
            Begin::Done(done) => done,
            Begin::Compute(_) => panic!("{id} is not done"),
        }
    }

    fn finished(store: &Store, id: &StageId) -> Done {
        let writer = compute(store, id);
        writer.write("metrics.json", br#"{"accuracy": 0.63}"#).unwrap();
        writer.write_with("model.safetensors", |out| out.write_all(&vec![7; 3 << 20])).unwrap();
        writer.finish(json!({"device": {"kind": "cpu"}})).unwrap()
    }

    #[test]
    fn a_finished_stage_is_found_done_with_its_files_and_its_facts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("runs")).unwrap();
        let id = stage_id("finetune", &json!({"seed": 1337}));
        let first = finished(&store, &id);
        let again = done(&store, &id);
        assert_eq!(first.info(), again.info());
        assert_eq!(again.info()["device"]["kind"], "cpu");
        assert_eq!(again.info()["format_version"], FORMAT_VERSION);
        assert_eq!(again.info()["stage"], id.as_str());
        let metrics: serde_json::Value = again.read_json("metrics.json").unwrap();
        assert_eq!(metrics, json!({"accuracy": 0.63}));
        assert_eq!(fs::metadata(again.path("model.safetensors").unwrap()).unwrap().len(), 3 << 20);
        let missing = again.path("ticket.json").unwrap_err();
        assert!(missing.to_string().contains("ticket.json"), "{missing}");
    }

    #[test]
    fn an_abandoned_stage_is_cleared_but_keeps_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let id = stage_id("finetune", &json!({}));
        let writer = compute(&store, &id);
        writer.write("metrics.json", b"{}").unwrap();
        fs::create_dir_all(writer.checkpoint_dir()).unwrap();
        fs::write(writer.checkpoint_dir().join("step"), "7").unwrap();
        drop(writer);

        let writer = compute(&store, &id);
        assert!(!writer.path("metrics.json").unwrap().exists());
        assert_eq!(fs::read_to_string(writer.checkpoint_dir().join("step")).unwrap(), "7");
        let checkpoint = writer.checkpoint_dir();
        let done = writer.finish(json!({})).unwrap();
        assert!(!checkpoint.exists());
        assert_eq!(done.info()["files"], json!({}));
    }

    #[test]
    fn a_damaged_stage_is_refused_with_the_file_and_the_folder_to_delete() {
        type Damage = fn(&Path);
        let damage: [(&str, Damage); 4] = [
            ("metrics.json", |dir| fs::write(dir.join("metrics.json"), br#"{"accuracy": 0.99}"#).unwrap()),
            ("metrics.json", |dir| fs::remove_file(dir.join("metrics.json")).unwrap()),
            ("model.safetensors", |dir| {
                fs::File::options()
                    .write(true)
                    .open(dir.join("model.safetensors"))
                    .unwrap()
                    .set_len(9)
                    .unwrap()
            }),
            ("stage.json", |dir| fs::write(dir.join("stage.json"), "{").unwrap()),
        ];
        for (name, damage) in damage {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            let id = stage_id("finetune", &json!({}));
            let dir = finished(&store, &id).dir().to_owned();
            damage(&dir);
            let error = store.begin(&id, &mut |_| Ok(())).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            let message = error.to_string();
            assert!(
                message.contains(name) && message.contains(&format!("Delete {}", dir.display())),
                "{message}"
            );
            fs::remove_dir_all(&dir).unwrap();
            finished(&store, &id);
        }
    }

    #[test]
    fn weights_that_changed_are_found_when_their_stage_is_found_and_when_they_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let stage = finished(&store, &stage_id("finetune", &json!({})));
        stage.verified_path("model.safetensors").unwrap();
        let mut weights = vec![7; 3 << 20];
        weights[1 << 21] = 8;
        fs::write(stage.dir().join("model.safetensors"), weights).unwrap();
        let found = store.begin(stage.id(), &mut |_| Ok(())).map(drop);
        let looked_at = store.stage(stage.id()).load_by_size().unwrap().unwrap();
        for error in [found.unwrap_err(), looked_at.verified_path("model.safetensors").unwrap_err()] {
            assert_eq!(error.exit_code(), 3);
            let message = error.to_string();
            assert!(message.contains("model.safetensors") && message.contains("Delete "), "{message}");
        }
    }

    #[test]
    fn a_store_that_cannot_be_written_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let below_file = Store::open(&file.join("runs")).unwrap_err();
        // Root may write to every ordinary folder, not to the kernel's.
        let in_proc = Store::open(Path::new("/proc/runs")).unwrap_err();
        for error in [below_file, in_proc] {
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains("--store"), "{error}");
        }
    }
}
