//! How a run stands: one small file for each, and a lock that its process holds.

use super::{Run, Sweep, plan::FORMAT_VERSION};
use crate::{
    error::{Error, Result},
    store::{Lock, Store, atomic_write, lease::Holder},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not begun, or stopped where it can be taken up again.
    Pending,
    Running,
    Done,
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        })
    }
}

/// The content of `runs/<run>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub format_version: u32,
    pub run: String,
    pub status: Status,
    /// How often a process was begun for it.
    pub attempts: u32,
    /// Of the last process; none when it was killed.
    pub exit_code: Option<i32>,
    /// The first line of why it failed.
    pub error: Option<String>,
    pub record: Option<PathBuf>,
    /// Of the last process.
    pub seconds: Option<f64>,
}

impl State {
    pub fn pending(run: &str) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            run: run.to_owned(),
            status: Status::Pending,
            attempts: 0,
            exit_code: None,
            error: None,
            record: None,
            seconds: None,
        }
    }

    /// What was written about the run; a file that is missing or damaged says that it is pending.
    pub fn load(sweep: &Path, run: &str) -> Self {
        let text = fs::read(path(sweep, run)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_else(|_| Self::pending(run))
    }

    pub fn save(&self, sweep: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::internal(e.to_string()))?;
        atomic_write(&path(sweep, &self.run), format!("{text}\n").as_bytes())
    }
}

fn path(sweep: &Path, run: &str) -> PathBuf {
    sweep.join("runs").join(format!("{run}.json"))
}

/// The lock of a run. It is the same for all sweeps of the store.
pub fn lock(store: &Store, run: &str) -> Result<Lock> {
    Lock::at(&lock_path(store, run))
}

/// Whether some process computes the run, here or on another machine.
pub fn is_held(store: &Store, run: &str) -> bool {
    let path = lock_path(store, run);
    let here = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    File::open(&path).is_ok_and(here) || Holder::of(&path).is_some_and(|holder| holder.lives_elsewhere(&path))
}

fn lock_path(store: &Store, run: &str) -> PathBuf {
    let hash = run.rsplit('-').next().unwrap_or(run);
    store.dir().join("locks").join(format!("run-{hash}"))
}

impl Sweep {
    pub fn state(&self, run: &Run) -> State {
        State::load(&self.dir, &run.name)
    }
}
