//! How long-running work reports its progress and is asked to stop.

use super::event::Event;
use crate::error::message;

/// Receives the progress of stages and steps. Nothing of it goes to stdout.
pub trait Progress {
    /// A stage of `total` steps begins; 0 where the number is unknown.
    fn begin(&mut self, stage: &str, total: u64);
    /// `done` steps are done; `detail` is a short status.
    fn step(&mut self, done: u64, detail: &str);
    /// The stage is over; `summary` is its last line.
    fn end(&mut self, summary: &str);
    /// A line of information.
    fn note(&mut self, line: &str);
    /// An event, for programs.
    fn event(&mut self, _event: &Event) {}
    /// A warning, as a line and as an event.
    fn warn(&mut self, warning: &str) {
        let text = &message(warning);
        self.note(&format!("warning: {text}"));
        self.event(&Event::Warning { text });
    }
    /// Whether the work has been asked to stop at the next point from which it can resume.
    fn stop_wanted(&self) -> bool {
        false
    }
}

/// Ignores all progress.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str, _: u64) {}
    fn step(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
}
