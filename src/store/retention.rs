//! The retention rules: what [`Collector`] removes under each policy.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use super::{
    Collector, Done, FileKind, Keep, StageId, StageKind, Store, Weights,
    atomic::TEMPORARY,
    gc::{names, size},
    links::{STAGES, is_link},
    manifest::CHECKPOINT,
};
use crate::error::Result;

/// The weights of a stage that has a model.
pub const WEIGHTS: &str = "model.safetensors";

impl Store {
    /// Applies the policy to these stages, except those that are in use.
    pub fn trim<'a>(&self, stages: impl IntoIterator<Item = &'a str>, keep: Keep) -> Result<Collector> {
        let mut gc = Collector::new(self, keep, true);
        for id in stages.into_iter().filter_map(StageId::parse) {
            gc.stage(self, &id)?;
        }
        Ok(gc)
    }
}

impl Collector {
    /// Collects one stage, unless a process computes or uses it.
    pub fn stage(&mut self, store: &Store, id: &StageId) -> Result<()> {
        let stage = store.stage(id);
        // Its files would be outside this store.
        if self.is_behind_a_link(&stage.dir.join(CHECKPOINT)) {
            return Ok(());
        }
        let Some(_guard) = self.lock(&stage.lock, id.as_str())? else { return Ok(()) };
        match Done::read_manifest(id, &stage.dir) {
            Ok(Some(done)) => self.finished(done),
            Ok(None) => self.unfinished(&stage.dir, &stage.lock, self.kept_of(id)),
            Err(error) => {
                self.damaged.push(error.to_string());
                Ok(())
            }
        }
    }

    /// The policy for this stage. Pre-trained weights are always kept: no run could restore them, since their text is not in
    /// the store, and other runs start from them.
    fn kept_of(&self, id: &StageId) -> Keep {
        if weights(id) == Weights::Kept { Keep::Models } else { self.keep }
    }

    fn finished(&mut self, mut done: Done) -> Result<()> {
        let keep = self.kept_of(done.id());
        let dir = done.dir().to_owned();
        for name in names(&dir)? {
            let path = dir.join(&name);
            if name.starts_with(TEMPORARY) {
                self.file(FileKind::Temporary, &path)?;
            } else if name == CHECKPOINT && keep == Keep::Models && done.is_removed(WEIGHTS) {
                // The checkpoint of weights whose restoring was interrupted.
                self.temporary(&path)?;
            } else if name == CHECKPOINT {
                self.tree(FileKind::Checkpoints, &path)?;
            }
        }
        let trained = weights(done.id()) == Weights::Restorable;
        let mut unwanted = Vec::new();
        for name in done.files() {
            let kind =
                if name.starts_with("predictions") { FileKind::Predictions } else { FileKind::Weights };
            let wanted = match kind {
                FileKind::Predictions => keep < Keep::None,
                _ => keep < Keep::Tickets || name != WEIGHTS || !trained,
            };
            if wanted && !done.is_removed(&name) {
                continue;
            }
            if let Some(bytes) = size(&dir.join(&name))? {
                self.count(kind, bytes);
                unwanted.push(name);
            }
        }
        if self.delete && !unwanted.is_empty() { done.remove(&unwanted) } else { Ok(()) }
    }

    /// Collects a stage that was never finished. Only its checkpoint is of use to the next process.
    fn unfinished(&mut self, dir: &Path, lock: &Path, keep: Keep) -> Result<()> {
        let checkpoint = dir.join(CHECKPOINT);
        let steps = names(&checkpoint)?.iter().any(|name| !name.starts_with(TEMPORARY));
        let resumable = steps && keep == Keep::Models;
        for name in names(dir)? {
            let path = dir.join(&name);
            match name.as_str() {
                CHECKPOINT if resumable => self.temporary(&path)?,
                CHECKPOINT => self.tree(FileKind::Checkpoints, &path)?,
                name if name.starts_with(TEMPORARY) => self.file(FileKind::Temporary, &path)?,
                _ => self.tree(FileKind::Unfinished, &path)?,
            }
        }
        if resumable {
            return Ok(());
        }
        self.folder(dir)?;
        self.file(FileKind::Locks, lock)
    }

    /// Removes the temporary files of a folder whose lock is held.
    fn temporary(&mut self, dir: &Path) -> Result<()> {
        for name in names(dir)?.iter().filter(|name| name.starts_with(TEMPORARY)) {
            self.file(FileKind::Temporary, &dir.join(name))?;
        }
        Ok(())
    }

    /// Collects the stages, temporary files of records, encoded texts, and locks of stages that are gone.
    pub fn store(&mut self, store: &Store) -> Result<()> {
        let stages = store.dir().join(STAGES);
        // A full disk has no space for the marks either. Encoded texts go first: they are quickly encoded again.
        if self.delete && is_full(&stages) {
            self.tokens(store)?;
        }
        for id in names(&stages)?.iter().filter_map(|name| StageId::parse(name)) {
            self.stage(store, &id)?;
        }
        self.records(store)?;
        let cache = store.dir().join("cache");
        self.old_temporary(&cache)?;
        if self.keep == Keep::None {
            self.tokens(store)?;
        }
        let locks = store.dir().join("locks");
        // Left by processes that were killed while taking over a lock.
        for name in names(&locks)?.iter().filter(|name| name.contains(".of-") || name.contains(".after-")) {
            self.old_file(FileKind::Locks, &locks.join(name))?;
        }
        // Locks of runs look alike, but are collected with the sweeps.
        let of_stages = names(&locks)?.into_iter().filter(|name| !name.starts_with("run-"));
        for id in of_stages.filter_map(|name| StageId::parse(&name)) {
            let stage = store.stage(&id);
            if stage.dir.exists() {
                continue;
            }
            if let Some(_guard) = self.lock(&stage.lock, id.as_str())?
                && !stage.dir.exists()
            {
                self.file(FileKind::Locks, &stage.lock)?;
            }
        }
        Ok(())
    }

    fn tokens(&mut self, store: &Store) -> Result<()> {
        let cache = store.dir().join("cache");
        let names = names(&cache)?;
        let mut encoded = names.iter().filter(|name| name.ends_with(".tokens"));
        encoded.try_for_each(|name| self.file(FileKind::Tokens, &cache.join(name)))
    }

    fn records(&mut self, store: &Store) -> Result<()> {
        let mut folders = vec![store.dir().join("results")];
        let mut temporary = Vec::new();
        while let Some(dir) = folders.pop() {
            for name in names(&dir)? {
                let path = dir.join(&name);
                if path.is_dir() && !is_link(&path) {
                    folders.push(path);
                } else if name.starts_with(TEMPORARY) {
                    temporary.push(path);
                }
            }
        }
        if temporary.is_empty() {
            return Ok(());
        }
        let Some(_guard) = self.lock(&store.records_lock(), "records")? else { return Ok(()) };
        temporary.iter().try_for_each(|path| self.file(FileKind::Temporary, path))
    }
}

/// Stages of an unknown kind, from another version, count as having no weights, since they could not be restored.
fn weights(id: &StageId) -> Weights {
    StageKind::of(id.as_str()).map_or(Weights::None, |kind| kind.weights)
}

/// Whether the folder's disk has no space for a few small files.
fn is_full(dir: &Path) -> bool {
    let written = tempfile::tempfile_in(dir).and_then(|mut file| file.write_all(&[1; 1 << 16]));
    written.is_err_and(|e| matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}
