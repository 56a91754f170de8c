//! What of a whole store is not kept: its stages, and what sweeps and runs have left beside them.

use super::{
    Run, Sweep, fate,
    plan::{folder, ids},
    state::{self, Status, lock_path},
};
use crate::{
    error::Result,
    experiment::Contents,
    store::{Collector, FileKind, Keep, Store, names},
};
use std::{collections::HashSet, path::PathBuf};

/// Removes what is not kept, or without `delete` counts it. Whatever instant it is killed at, the store is one with
/// which runs go on, and the next time completes it.
pub fn collect(store: &Store, keep: Keep, delete: bool) -> Result<Collector> {
    store.must_exist()?;
    let mut gc = Collector::new(store, keep, delete);
    gc.store(store)?;
    let mut locks = Some(HashSet::new());
    for id in ids(store)? {
        match Sweep::load(&folder(store).join(&id)) {
            Ok(sweep) => {
                match sweep.refuse_links() {
                    Ok(()) => leftovers(&mut gc, &sweep, store)?,
                    Err(error) => gc.damaged.push(error.to_string()),
                }
                let own = sweep.runs.iter().map(|run| lock_path(store, &run.name));
                locks = locks.map(|locks: HashSet<PathBuf>| locks.into_iter().chain(own).collect());
            }
            Err(error) => {
                gc.damaged.push(error.to_string());
                // Which runs it has, nobody knows.
                locks = None;
            }
        }
    }
    if keep == Keep::None {
        events(&mut gc, store)?;
    }
    locks.map_or(Ok(()), |wanted| run_locks(&mut gc, store, &wanted))?;
    Ok(gc)
}

/// What a sweep's runs were given and told, when they do not run; and, where nothing is kept, the logs of those that
/// are done.
fn leftovers(gc: &mut Collector, sweep: &Sweep, store: &Store) -> Result<()> {
    for room in ["", "runs", "configs"] {
        gc.old_temporary(&sweep.dir.join(room))?;
    }
    let mut contents = Contents::new(&sweep.directory, store);
    for run in &sweep.runs {
        let rooms = [("configs", "toml"), ("live", "json"), ("live", "new")];
        let mut files: Vec<(FileKind, PathBuf)> = rooms
            .iter()
            .map(|(room, end)| (FileKind::Sweeps, sweep.dir.join(room).join(format!("{}.{end}", run.name))))
            .collect();
        if gc.keep == Keep::None && is_done(sweep, store, run, &mut contents)? {
            files.push((FileKind::Logs, sweep.log(run)));
        }
        files.retain(|(_, path)| path.exists());
        if files.is_empty() {
            continue;
        }
        let Some(_guard) = gc.lock(&lock_path(store, &run.name), &run.name)? else { continue };
        files.iter().try_for_each(|(kind, path)| gc.file(*kind, path))?;
    }
    Ok(())
}

fn is_done(sweep: &Sweep, store: &Store, run: &Run, contents: &mut Contents) -> Result<bool> {
    Ok(fate::fate(sweep, store, run, contents)?.state.status == Status::Done)
}

/// A run that no sweep began holds no lock: what it has not written for long belongs to an ended one.
fn events(gc: &mut Collector, store: &Store) -> Result<()> {
    let dir = store.dir().join("events");
    for name in names(&dir)? {
        if name.strip_suffix(".jsonl").is_some_and(|run| !state::is_held(store, run)) {
            gc.old_file(FileKind::Events, &dir.join(&name))?;
        }
    }
    Ok(())
}

/// The locks of runs that are in no sweep any more.
fn run_locks(gc: &mut Collector, store: &Store, wanted: &HashSet<PathBuf>) -> Result<()> {
    let dir = folder(store).with_file_name("locks");
    for name in names(&dir)?.iter().filter(|name| name.starts_with("run-") && !name.contains('.')) {
        let path = dir.join(name);
        if !wanted.contains(&path)
            && let Some(_guard) = gc.lock(&path, name)?
        {
            gc.file(FileKind::Locks, &path)?;
        }
    }
    Ok(())
}
