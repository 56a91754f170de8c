//! Progress for people, on stderr: bars on a terminal, otherwise a line for each finished stage.

use super::output::to_stderr;
use crate::{cores::Share, train::Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The progress of a run on stderr; nothing when it is `quiet`.
pub struct Console {
    quiet: bool,
    stop: Arc<AtomicBool>,
    bar: ProgressBar,
}

impl Console {
    /// `stop` is set when the work has to stop.
    pub fn new(quiet: bool, stop: Arc<AtomicBool>) -> Self {
        Self { quiet, stop, bar: ProgressBar::hidden() }
    }
}

impl Progress for Console {
    fn begin(&mut self, stage: &str, total: u64) {
        if self.quiet || !std::io::stderr().is_terminal() {
            return;
        }
        self.bar = ProgressBar::with_draw_target(
            (total > 0).then_some(total),
            ProgressDrawTarget::stderr_with_hz(8),
        );
        let template = if total > 0 {
            "{prefix:<9} {bar:30} {pos}/{len} {msg}, ETA {eta}"
        } else {
            "{prefix:<9} {spinner} {msg}, {elapsed}"
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style);
        self.bar.set_prefix(stage.to_owned());
    }

    fn step(&mut self, done: u64, detail: &str) {
        self.bar.set_position(done);
        self.bar.set_message(detail.to_owned());
    }

    fn end(&mut self, summary: &str) {
        self.bar.finish_and_clear();
        self.note(summary);
    }

    fn note(&mut self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| to_stderr(line));
        }
    }

    fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Reports that other processes leave this one only a share of the cores, unless a number of threads was asked for.
pub fn report_share(requested: Option<usize>, share: Share, progress: &mut dyn Progress) {
    if requested.is_none() && share.others > 0 {
        progress.note(&format!("computing on {share}"));
    }
}
