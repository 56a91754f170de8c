//! The state of a run: a small file for each, and the lock that its process holds.

use super::{Run, Sweep, live::is_duration, plan::FORMAT_VERSION, records::Ignored};
use crate::{
    error::{Error, Result},
    file,
    store::{Lock, Store, atomic_write, lease, refuse_link},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not started, or stopped with checkpoints to resume from.
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
    /// How often it was started.
    pub attempts: u32,
    /// The last process's exit code; `None` if it was killed.
    pub exit_code: Option<i32>,
    /// The first line of the error, if it failed.
    pub error: Option<String>,
    pub record: Option<PathBuf>,
    /// How long the last process ran.
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

    /// Reads the state of a run; it is pending if the file is missing or damaged.
    pub fn load(sweep: &Path, run: &str) -> Self {
        Self::read(sweep, run).unwrap_or_else(|_| Self::pending(run))
    }

    /// [`load`](Self::load), or why the file is not a state's.
    pub fn read(sweep: &Path, run: &str) -> std::result::Result<Self, Ignored> {
        let path = path(sweep, run);
        let text = match file::read(&path, file::LARGEST_JSON) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::pending(run)),
            other => other.map_err(|error| error.to_string()),
        };
        let read =
            text.and_then(|text| serde_json::from_slice::<Self>(&text).map_err(|error| error.to_string()));
        let mut state = read
            .map_err(|why| Ignored { path, why: format!("is damaged: {why}; its run counts as pending") })?;
        // The name that the file is saved by, whatever it says.
        run.clone_into(&mut state.run);
        state.seconds = state.seconds.filter(|seconds| is_duration(*seconds));
        Ok(state)
    }

    pub fn save(&self, sweep: &Path) -> Result<()> {
        refuse_link(sweep)?;
        refuse_link(&sweep.join("runs"))?;
        let text = serde_json::to_string(self).map_err(|e| Error::internal(e.to_string()))?;
        atomic_write(&path(sweep, &self.run), format!("{text}\n").as_bytes())
    }
}

fn path(sweep: &Path, run: &str) -> PathBuf {
    sweep.join("runs").join(format!("{run}.json"))
}

/// The lock of a run, which is the same for all sweeps of the store.
pub fn lock(store: &Store, run: &str) -> Result<Lock> {
    Lock::at(&lock_path(store, run))
}

/// Whether a process on any machine executes the run.
pub fn is_held(store: &Store, run: &str) -> bool {
    lease::is_held(&lock_path(store, run))
}

pub(super) fn lock_path(store: &Store, run: &str) -> PathBuf {
    let hash = run.rsplit('-').next().unwrap_or(run);
    store.dir().join("locks").join(format!("run-{hash}"))
}

impl Sweep {
    pub fn state(&self, run: &Run) -> State {
        State::load(&self.dir, &run.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_the_name_of_its_run_whatever_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let sweep = folder.path().join("sweep");
        let mut state = State::pending("run-1");
        (state.status, state.seconds) = (Status::Failed, Some(7.5));
        state.save(&sweep).unwrap();
        assert_eq!(State::load(&sweep, "run-1"), state);
        assert_eq!(State::load(&sweep, "run-2"), State::pending("run-2"));

        let text = std::fs::read_to_string(path(&sweep, "run-1")).unwrap();
        let change = |from: &str, to: &str| {
            std::fs::write(path(&sweep, "run-1"), text.replace(from, to)).unwrap();
            State::load(&sweep, "run-1")
        };
        let hostile = change("\"run-1\"", "\"../../../victim\"");
        assert_eq!(hostile, state);
        hostile.save(&sweep).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        for seconds in ["-1.0", "1e300"] {
            assert_eq!(change("7.5", seconds).seconds, None, "{seconds}");
        }
        assert_eq!(change("\"attempts\":0", "\"attempts\":4294967295").attempts, u32::MAX);
        for damaged in ["\"attempts\":-1", "\"attempts\":1e9", "\"attempts\":4294967296"] {
            assert_eq!(change("\"attempts\":0", damaged).status, Status::Pending, "{damaged}");
        }
    }
}
