//! The progress that a run's process reports while it runs.

use crate::file;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often the file is rewritten within a stage.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);

/// Many times the size of a report.
const MAX_BYTES: u64 = 1 << 16;

/// Whether this is a plausible duration in seconds: between zero and a century.
pub(super) fn is_duration(seconds: f64) -> bool {
    (0.0..=3.2e9).contains(&seconds)
}

/// The content of `live/<run>.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Live {
    pub stage: String,
    pub done: u64,
    /// 0 if unknown.
    pub total: u64,
    pub detail: String,
    /// Seconds that this process has spent in the stage.
    pub seconds: f64,
    /// Estimated seconds until the end of the stage, if known.
    pub eta: Option<f64>,
}

/// Writes the file.
pub struct Report {
    path: PathBuf,
    live: Live,
    started: Instant,
    /// The steps done before this process: a resumed training does not start at 0.
    from: Option<u64>,
    written: Option<Instant>,
}

impl Report {
    pub fn to(path: PathBuf) -> Self {
        Self { path, live: Live::default(), started: Instant::now(), from: None, written: None }
    }

    pub fn begin(&mut self, stage: &str, total: u64) {
        self.live = Live { stage: stage.to_owned(), total, ..Live::default() };
        (self.started, self.from) = (Instant::now(), None);
        self.write();
    }

    pub fn step(&mut self, done: u64, detail: &str) {
        let from = *self.from.get_or_insert(done.saturating_sub(1));
        if self.written.is_some_and(|at| at.elapsed() < WRITE_INTERVAL) {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let left = self.live.total.checked_sub(done);
        let taken = done.saturating_sub(from).max(1);
        self.live.done = done;
        self.live.detail = detail.to_owned();
        self.live.seconds = seconds;
        self.live.eta = left.map(|left| seconds * left as f64 / taken as f64);
        self.write();
    }

    /// Replaces the file atomically, without syncing it: it only matters while the process lives. A failure to write it
    /// is ignored.
    fn write(&mut self) {
        let beside = self.path.with_extension("new");
        let text = serde_json::to_string(&self.live).unwrap_or_default();
        let _ = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &self.path));
        self.written = Some(Instant::now());
    }
}

impl Live {
    pub fn load(path: &Path) -> Option<Self> {
        let mut live: Self = serde_json::from_slice(&file::read(path, MAX_BYTES).ok()?).ok()?;
        live.seconds = Some(live.seconds).filter(|seconds| is_duration(*seconds)).unwrap_or_default();
        live.eta = live.eta.filter(|seconds| is_duration(*seconds));
        Some(live)
    }

    /// The path of a run's file.
    pub fn path(sweep: &Path, run: &str) -> PathBuf {
        sweep.join("live").join(format!("{run}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_without_impossible_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        assert!(Live::load(&path).is_none());
        Report::to(path.clone()).begin("finetune", 345);
        let live = Live::load(&path).unwrap();
        assert_eq!((&*live.stage, live.done, live.total, live.eta), ("finetune", 0, 345, None));

        let load = |seconds: &str, eta: &str| {
            let text = format!(
                r#"{{"stage":"x","done":18446744073709551615,"total":1,"detail":"","seconds":{seconds},"eta":{eta}}}"#
            );
            fs::write(&path, text).unwrap();
            Live::load(&path).map(|live| (live.seconds, live.eta))
        };
        assert_eq!(load("1.5", "2.5"), Some((1.5, Some(2.5))));
        assert_eq!(load("-1.5", "-2.5"), Some((0.0, None)));
        assert_eq!(load("1e300", "1e300"), Some((0.0, None)));
        for damaged in ["1e999", "null", "\"x\""] {
            assert_eq!(load(damaged, "1.0"), None, "{damaged}");
        }
        fs::write(&path, vec![b' '; MAX_BYTES as usize + 1]).unwrap();
        assert!(Live::load(&path).is_none());
    }
}
