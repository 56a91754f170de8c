//! Progress for people, on stderr: bars on a terminal, otherwise a line for each finished stage.

use super::{
    output::to_stderr,
    sweep::duration,
    terminal::{begin_bar, end_bar},
};
use crate::{
    cores::{self, Share},
    engine::Machine,
    train::Progress,
};
use indicatif::ProgressBar;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The progress of a run on stderr; nothing when it is `quiet`.
pub struct Console {
    quiet: bool,
    stop: Arc<AtomicBool>,
    /// What runs, in front of its stages.
    label: String,
    bar: ProgressBar,
    stage: String,
    began: Instant,
    /// The steps done before this process.
    from: Option<u64>,
    total: u64,
    /// Trainings that the run has yet to do, this one included, until their time was told.
    trainings: Option<u64>,
}

/// Steps and seconds after which the pace of a training is known.
const PACE: (u64, f64) = (5, 5.0);
/// What ends within that many seconds needs no announcement.
const SOON: f64 = 60.0;

impl Console {
    /// `stop` is set when the work has to stop.
    pub fn new(quiet: bool, stop: Arc<AtomicBool>) -> Self {
        let bar = ProgressBar::hidden();
        Self {
            quiet,
            stop,
            label: String::new(),
            bar,
            stage: String::new(),
            began: Instant::now(),
            from: None,
            total: 0,
            trainings: None,
        }
    }

    /// Has the next training tell how long this one and the others will take.
    pub fn expect(&mut self, trainings: u64) {
        self.trainings = Some(trainings);
    }

    /// Tells once how long the run will take, from the first steps of its first training.
    fn tell_duration(&mut self, taken: u64, left: u64, pace: f64) {
        let Some(trainings) = self.trainings else { return };
        if taken < PACE.0 || pace * (taken as f64) < PACE.1 {
            return;
        }
        self.trainings = None;
        let others = trainings.saturating_sub(1);
        let seconds = pace * (left + others * self.total) as f64;
        if seconds > SOON {
            let all = if others > 0 { " at most, with the other trainings of this run" } else { "" };
            self.note(&format!("about {} left{all}, by the first {taken} steps", duration(seconds)));
        }
    }

    /// Names what runs on the bar: `demo good 42`.
    pub fn labelled(self, label: String) -> Self {
        Self { label, ..self }
    }
}

impl Progress for Console {
    fn begin(&mut self, stage: &str, total: u64) {
        if self.quiet {
            return;
        }
        (self.stage, self.began, self.from, self.total) = (stage.to_owned(), Instant::now(), None, total);
        self.bar = begin_bar(total);
    }

    fn step(&mut self, done: u64, detail: &str) {
        if self.quiet {
            return;
        }
        let from = *self.from.get_or_insert(done.saturating_sub(1));
        let (taken, left) = (done.saturating_sub(from).max(1), self.total.saturating_sub(done));
        let pace = self.began.elapsed().as_secs_f64() / taken as f64;
        if self.total > 0 {
            self.tell_duration(taken, left, pace);
        }
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(done);
        let known = self.total > 0;
        let at = if known { format!(" {done}/{}", self.total) } else { String::new() };
        let eta = known.then(|| format!("ETA {}", duration(pace * left as f64)));
        let parts =
            [self.label.clone(), format!("{}{at}", self.stage), eta.unwrap_or_default(), detail.to_owned()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.bar.set_message(parts.join(" · "));
    }

    fn end(&mut self, summary: &str) {
        end_bar();
        self.note(summary);
    }

    fn note(&mut self, line: &str) {
        if !self.quiet {
            to_stderr(line);
        }
    }

    fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Lets go of the cores that a GPU does without.
pub fn feed(machine: &Machine) {
    if let Machine::Cuda { .. } = machine {
        cores::feed_gpu();
    }
}

/// Reports that other processes leave this one only a share of the cores, unless a number of threads was asked for.
pub fn report_share(requested: Option<usize>, share: Share, progress: &mut dyn Progress) {
    if requested.is_none() && share.others > 0 {
        progress.note(&format!("computing on {share}"));
    }
}
