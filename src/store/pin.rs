//! Pinning files of finished stages while they are used, and restoring those that were removed to save disk space.
//!
//! A process that uses such a file holds the stage's lock shared; a process that removes or restores it holds the lock
//! exclusively. A process that needs the file tries both ways in turn, so that no two processes wait for each other.

use std::{fs::File, path::PathBuf, thread};

use super::{
    Done, Lease, Lock, POLL_INTERVAL, StageHandle, StageId, Store, atomic_write, links::refuse_link, locks,
    manifest, writer,
};
use crate::error::{Error, Result};

/// A file of a finished stage: pinned, or to be restored.
#[derive(Debug)]
pub enum Availability {
    Pinned(Pinned),
    /// Removed; the holder of this restores it while other processes wait.
    Removed(Restore),
}

/// A finished stage from which nothing is removed as long as this lives.
#[derive(Debug)]
pub struct Pinned {
    done: Done,
    _lock: File,
}

/// The right to restore a removed file.
#[derive(Debug)]
pub struct Restore {
    done: Done,
    name: String,
    lease: Lease,
}

impl Store {
    /// Pins the stage; `None` if this file was removed, or another process is about to remove it.
    pub fn pin(&self, id: &StageId, name: &str) -> Result<Option<Pinned>> {
        let stage = self.stage(id);
        let Some(lock) = locks::try_shared(&stage.lock)? else { return Ok(None) };
        let done = stage.done()?;
        Ok((!done.is_removed(name)).then_some(Pinned { done, _lock: lock }))
    }

    /// Pins the stage if it has this file, otherwise returns the right to restore the file. While another process restores
    /// it, waits and keeps calling `on_wait`, which can end the wait with an error.
    pub fn pin_or_restore(
        &self,
        id: &StageId,
        name: &str,
        on_wait: &mut dyn FnMut(&StageId) -> Result<()>,
    ) -> Result<Availability> {
        let stage = self.stage(id);
        let mut lock = Lock::at(&stage.lock)?;
        loop {
            if let Some(pinned) = self.pin(id, name)? {
                return Ok(Availability::Pinned(pinned));
            }
            if let Some(lease) = lock.take()? {
                let mut done = stage.done()?;
                if !done.is_removed(name) {
                    continue;
                }
                // A process was killed between marking the file and removing it, or between restoring and unmarking it.
                if done.is_whole(name)? {
                    refuse_link(done.dir())?;
                    done.unmark(name)?;
                    continue;
                }
                refuse_link(done.dir())?;
                return Ok(Availability::Removed(Restore { done, name: name.to_owned(), lease }));
            }
            on_wait(id)?;
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl StageHandle {
    fn done(&self) -> Result<Done> {
        self.load_by_size()?.ok_or_else(|| {
            Error::data(format!(
                "the finished stage {} has disappeared from {} since it was found. Run the same command again.",
                self.id,
                self.dir.display()
            ))
        })
    }
}

impl Pinned {
    pub fn done(&self) -> &Done {
        &self.done
    }
}

impl Restore {
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// Where the computation keeps its checkpoints, as for any stage.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.done.dir().join(manifest::CHECKPOINT)
    }

    /// Whether this program is known to compute different bits.
    pub fn is_known_to_differ(&self, program: &str) -> bool {
        self.done.others(&self.name).any(|other| other == program)
    }

    /// Restores the file if these are its bytes. Otherwise records that this program computes different bits, so that it is
    /// not tried again, and returns false.
    pub fn finish(mut self, bytes: &[u8], program: &str) -> Result<bool> {
        self.lease.check()?;
        let same = self.done.is_hash(&self.name, blake3::hash(bytes).to_hex().as_str());
        if same {
            atomic_write(&self.done.dir().join(&self.name), bytes)?;
            self.done.unmark(&self.name)?;
        } else {
            self.done.note_other(&self.name, program)?;
        }
        writer::clear_checkpoint(self.done.dir());
        Ok(same)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Begin, Collector, Keep, WEIGHTS, stage_id};
    use super::*;

    const BYTES: &[u8] = b"weights";

    fn store_with_a_model() -> (tempfile::TempDir, Store, StageId) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let id = stage_id("finetune", &json!({}));
        let Begin::Compute(writer) = store.begin(&id, &mut |_| Ok(())).unwrap() else { panic!("done") };
        writer.write(WEIGHTS, BYTES).unwrap();
        writer.write("metrics.json", b"{}").unwrap();
        writer.finish(json!({})).unwrap();
        (folder, store, id)
    }

    fn clear(store: &Store, id: &StageId) -> u64 {
        let mut gc = Collector::new(store, Keep::Tickets, true);
        gc.stage(store, id).unwrap();
        gc.total().bytes
    }

    fn want(store: &Store, id: &StageId) -> Availability {
        store.pin_or_restore(id, WEIGHTS, &mut |_| panic!("nobody else is here")).unwrap()
    }

    #[test]
    fn what_is_held_stays_and_what_was_removed_comes_back_to_the_same_bits_alone() {
        let (_folder, store, id) = store_with_a_model();
        let path = store.stage(&id).dir().join(WEIGHTS);
        let pinned = store.pin(&id, WEIGHTS).unwrap().unwrap();
        assert_eq!(clear(&store, &id), 0);
        pinned.done().verified_path(WEIGHTS).unwrap();
        drop(pinned);
        assert_eq!(clear(&store, &id), BYTES.len() as u64);
        assert!(!path.exists() && store.pin(&id, WEIGHTS).unwrap().is_none());

        // Still done, with everything else.
        let Begin::Done(done) = store.begin(&id, &mut |_| Ok(())).unwrap() else { panic!("not done") };
        assert_eq!(done.read("metrics.json").unwrap(), b"{}");
        assert_eq!(done.info()["files"][WEIGHTS]["size"], BYTES.len());
        let error = done.path(WEIGHTS).unwrap_err();
        assert!(error.to_string().contains("was removed to save disk space"), "{error}");

        let Availability::Removed(restore) = want(&store, &id) else { panic!("not removed") };
        assert!(!restore.finish(b"others", "me").unwrap() && !path.exists());
        let Availability::Removed(restore) = want(&store, &id) else { panic!("not removed") };
        assert!(restore.is_known_to_differ("me") && !restore.is_known_to_differ("you"));
        assert!(restore.finish(BYTES, "you").unwrap());
        let Availability::Pinned(pinned) = want(&store, &id) else { panic!("not there") };
        assert_eq!(std::fs::read(pinned.done().verified_path(WEIGHTS).unwrap()).unwrap(), BYTES);
        assert_eq!(pinned.done().info()["files"][WEIGHTS].as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_marked_file_that_is_still_there_is_used_or_removed() {
        for damage in [false, true] {
            let (_folder, store, id) = store_with_a_model();
            let path = store.stage(&id).dir().join(WEIGHTS);
            clear(&store, &id);
            // Killed between the mark and the removal.
            std::fs::write(&path, if damage { b"weighty" } else { BYTES }).unwrap();
            assert!(matches!(store.begin(&id, &mut |_| Ok(())).unwrap(), Begin::Done(_)));
            assert_eq!(matches!(want(&store, &id), Availability::Removed(_)), damage);

            clear(&store, &id);
            std::fs::write(&path, BYTES).unwrap();
            let mut gc = Collector::new(&store, Keep::Models, true);
            gc.stage(&store, &id).unwrap();
            assert!(gc.total().bytes == BYTES.len() as u64 && !path.exists());
        }
    }

    #[test]
    fn the_checkpoint_of_an_interrupted_recomputation_is_kept() {
        let (_folder, store, id) = store_with_a_model();
        clear(&store, &id);
        let Availability::Removed(restore) = want(&store, &id) else { panic!("not removed") };
        let checkpoint = restore.checkpoint_dir();
        std::fs::create_dir_all(&checkpoint).unwrap();
        std::fs::write(checkpoint.join("step-1"), "1").unwrap();
        drop(restore);
        assert!(matches!(store.begin(&id, &mut |_| Ok(())).unwrap(), Begin::Done(_)));
        Collector::new(&store, Keep::Models, true).stage(&store, &id).unwrap();
        assert!(checkpoint.join("step-1").exists());
        let Availability::Removed(restore) = want(&store, &id) else { panic!("not removed") };
        assert!(restore.finish(BYTES, "me").unwrap() && !checkpoint.exists());
    }
}
