//! Progress of a sweep for people, on stderr.

use super::show::{duration, label, short_label};
use crate::{
    cli::{
        output::{counted, to_stderr},
        terminal::{begin_bar, end_bar},
    },
    error::Result,
    sweep::{
        Run, Sweep,
        live::Live,
        local::{Counts, Observer},
        run_result::RunResult,
        state::Status,
    },
};
use indicatif::ProgressBar;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often the running processes' progress is read.
const INTERVAL: Duration = Duration::from_millis(250);

/// A bar on a terminal, otherwise a line for each run that has ended.
pub struct SweepConsole {
    quiet: bool,
    stop: Arc<AtomicBool>,
    bar: ProgressBar,
    varying: Vec<String>,
    id: String,
    began: Instant,
    /// Runs that had ended before.
    before: usize,
    read: Option<Instant>,
}

impl SweepConsole {
    pub fn new(sweep: &Sweep, quiet: bool, stop: Arc<AtomicBool>) -> Result<Self> {
        let bar = if quiet { ProgressBar::hidden() } else { begin_bar(sweep.runs.len() as u64) };
        let (varying, id) = (sweep.varying()?, sweep.id.clone());
        Ok(Self { quiet, stop, bar, varying, id, began: Instant::now(), before: 0, read: None })
    }

    /// `3/12 · demo good 42 · retrain 55/64 · ETA 40 s`
    fn message(&self, sweep: &Sweep, running: &[&Run], counts: Counts) -> String {
        let Counts { done, failed, total, .. } = counts;
        let ended = done + failed;
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let mut parts = vec![format!("{ended}/{total}{failed}")];
        for run in running {
            parts.push(short_label(&run.config));
            if let Some(live) = Live::load(&Live::path(&sweep.dir, &run.name)) {
                let at =
                    if live.total > 0 { format!(" {}/{}", live.done, live.total) } else { String::new() };
                parts.push(format!("{}{at}", live.stage));
            }
        }
        // There is no estimate before the first run has ended.
        if let Some(new) = ended.checked_sub(self.before).filter(|new| *new > 0) {
            let left = self.began.elapsed().as_secs_f64() * (total - ended) as f64 / new as f64;
            // The runs at hand are the longest part: the estimate stays in sight.
            parts.insert(parts.len().min(3), format!("ETA {}", duration(left)));
        }
        parts.join(" · ")
    }
}

impl Observer for SweepConsole {
    fn started(&mut self, counts: Counts) {
        let Counts { done, failed, total, .. } = counts;
        if !self.quiet {
            to_stderr(&format!(
                "sweep {}: {}, {done} done, {failed} failed earlier",
                self.id,
                counted(total, "run")
            ));
        }
        // Runs that were done before took no time and would distort the estimate.
        self.before = done + failed;
        self.bar.set_position(self.before as u64);
    }

    fn tick(&mut self, sweep: &Sweep, running: &[&Run], counts: Counts) {
        if self.bar.is_hidden() || self.read.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        self.read = Some(Instant::now());
        self.bar.set_position((counts.done + counts.failed) as u64);
        self.bar.set_message(self.message(sweep, running, counts));
    }

    fn run_ended(&mut self, sweep: &Sweep, run: &Run, result: &RunResult, counts: Counts) {
        if self.quiet {
            return;
        }
        let state = &result.state;
        let what = match (&result.summary, &state.error) {
            (Some(summary), _) => {
                let [full, pruned, retrained] = summary.scores();
                format!("{} {full:.4}, pruned {pruned:.4}, retrained {retrained:.4}", summary.metric)
            }
            (None, Some(error)) => format!("FAILED: {error} ({})", sweep.log(run).display()),
            (None, None) => "stopped".to_owned(),
        };
        let after = state.seconds.map(|s| format!(" in {s:.1} s")).unwrap_or_default();
        let label = label(run, &self.varying).unwrap_or_else(|_| run.name.clone());
        let line = format!("[{}/{}] {label}: {what}{after}", counts.done + counts.failed, counts.total);
        if self.bar.is_hidden() || state.status == Status::Failed {
            to_stderr(&line);
        }
    }

    fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Drop for SweepConsole {
    fn drop(&mut self) {
        end_bar();
    }
}
