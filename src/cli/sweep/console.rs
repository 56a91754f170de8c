//! Progress of a sweep for people, on stderr.

use super::show::{duration, label};
use crate::{
    cli::output::to_stderr,
    error::Result,
    sweep::{
        Run, Sweep,
        local::{Counts, Observer},
        run_result::RunResult,
        state::Status,
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A bar on a terminal, otherwise a line for each run that has ended.
pub struct SweepConsole {
    quiet: bool,
    stop: Arc<AtomicBool>,
    pub bar: ProgressBar,
    varying: Vec<String>,
    id: String,
}

impl SweepConsole {
    pub fn new(sweep: &Sweep, quiet: bool, stop: Arc<AtomicBool>) -> Result<Self> {
        let mut bar = ProgressBar::hidden();
        if !quiet && std::io::stderr().is_terminal() {
            let target = ProgressDrawTarget::stderr_with_hz(8);
            bar = ProgressBar::with_draw_target(Some(sweep.runs.len() as u64), target);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        Ok(Self { quiet, stop, bar, varying: sweep.varying()?, id: sweep.id.clone() })
    }
}

impl Observer for SweepConsole {
    fn started(&mut self, counts: Counts) {
        let Counts { done, failed, total, .. } = counts;
        if !self.quiet {
            to_stderr(&format!("sweep {}: {total} runs, {done} done, {failed} failed earlier", self.id));
        }
        // Runs that were done before took no time and would distort the estimate.
        self.bar.set_position((done + failed) as u64);
        self.bar.reset_eta();
    }

    fn tick(&mut self, counts: Counts) {
        let Counts { done, failed, running, .. } = counts;
        self.bar.set_position((done + failed) as u64);
        // There is no estimate before the first run has ended.
        let eta = Some(self.bar.eta().as_secs_f64()).filter(|eta| *eta > 0.0);
        let eta = eta.map(|eta| format!(", ETA {}", duration(eta))).unwrap_or_default();
        self.bar.set_message(format!("{done} done, {failed} failed, {running} running{eta}"));
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
        let failed = state.status == Status::Failed;
        if self.bar.is_hidden() || failed {
            self.bar.suspend(|| to_stderr(&line));
        }
    }

    fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
