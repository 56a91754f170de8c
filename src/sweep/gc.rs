//! Garbage collection of a whole store: its stages, and what sweeps and runs left behind.

use super::{
    Run, Sweep,
    plan::{folder, ids},
    run_result,
    state::{self, Status, lock_path},
};
use crate::{
    error::Result,
    experiment::Contents,
    store::{Collector, FileKind, Keep, Store, names},
};
use std::{collections::HashSet, path::PathBuf};

/// Removes what is not kept; without `delete`, only counts it. If it is killed at any point, runs can still use the
/// store, and the next call completes the work.
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
                // Its runs are unknown, so no run's lock may be removed.
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

/// Removes the settings and progress files of a sweep's runs that are not running and, where nothing is kept, the logs
/// of those that are done.
fn leftovers(gc: &mut Collector, sweep: &Sweep, store: &Store) -> Result<()> {
    for folder in ["", "runs", "configs"] {
        gc.old_temporary(&sweep.dir.join(folder))?;
    }
    let mut contents = Contents::new(&sweep.directory, store);
    for run in &sweep.runs {
        let kinds = [("configs", "toml"), ("live", "json"), ("live", "new")];
        let mut files: Vec<(FileKind, PathBuf)> = kinds
            .iter()
            .map(|(folder, extension)| {
                (FileKind::Sweeps, sweep.dir.join(folder).join(format!("{}.{extension}", run.name)))
            })
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
    Ok(run_result::run_result(sweep, store, run, contents)?.state.status == Status::Done)
}

/// A run outside of sweeps holds no lock: its events are removed once they have not been written to for long.
fn events(gc: &mut Collector, store: &Store) -> Result<()> {
    let dir = store.dir().join("events");
    for name in names(&dir)? {
        if name.strip_suffix(".jsonl").is_some_and(|run| !state::is_held(store, run)) {
            gc.old_file(FileKind::Events, &dir.join(&name))?;
        }
    }
    Ok(())
}

/// The locks of runs that no longer belong to any sweep.
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
