//! Stopping and forgetting a sweep from another process, on any machine that sees the store.

use super::{Sweep, state};
use crate::{
    error::{Error, Result},
    file,
    store::{Store, atomic_write, refuse_link},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Each request writes another content.
const REQUEST: &str = "cancel";

/// How often a sweep's process looks for a request.
const INTERVAL: Duration = Duration::from_millis(500);

/// Looks for requests that were made after it was created.
pub(super) struct Requests {
    path: PathBuf,
    seen: Option<Vec<u8>>,
    looked: Instant,
}

impl Requests {
    pub fn of(sweep: &Sweep) -> Self {
        let path = sweep.dir.join(REQUEST);
        let seen = content(&path);
        Self { path, seen, looked: Instant::now() }
    }

    /// Whether the sweep is to stop.
    pub fn is_made(&mut self) -> bool {
        if self.looked.elapsed() < INTERVAL {
            return false;
        }
        self.looked = Instant::now();
        let now = content(&self.path);
        now.is_some() && now != self.seen
    }
}

fn content(path: &Path) -> Option<Vec<u8>> {
    file::read_if_there(path).ok().flatten()
}

/// The number of the sweep's runs that a process executes at this moment.
pub fn running(sweep: &Sweep, store: &Store) -> usize {
    sweep.runs.iter().filter(|run| state::is_held(store, &run.name)).count()
}

/// Asks all processes that execute the sweep to stop, each run with a checkpoint.
pub fn request(sweep: &Sweep) -> Result<()> {
    sweep.refuse_links()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    atomic_write(&sweep.dir.join(REQUEST), format!("{now} {}\n", std::process::id()).as_bytes())
}

/// Removes the sweep's folder: its list of runs, their states, settings and logs. Records and stages stay.
///
/// # Errors
/// Usage: some of its runs are being executed. Data: a link is in the place of its folder.
pub fn forget(id: &str, store: &Store) -> Result<()> {
    let dir = super::plan::folder(store).join(id);
    refuse_link(&dir)?;
    // A damaged list of runs has no others to protect.
    if let Ok(sweep) = Sweep::load(&dir)
        && let n @ 1.. = running(&sweep, store)
    {
        return Err(Error::usage(format!(
            "{n} runs of sweep {id} are running. Stop them first: lottery sweep cancel {id}"
        )));
    }
    fs::remove_dir_all(&dir).map_err(|e| Error::io(&dir, "remove", &e))
}
