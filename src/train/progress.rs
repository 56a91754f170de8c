//! What long work tells whoever watches, and what it asks them.

use super::event::Event;
use crate::error::message;

/// A listener of stages and steps. Talk never goes to stdout.
pub trait Progress {
    /// A stage of `total` steps begins.
    fn begin(&mut self, stage: &str, total: u64);
    /// `done` steps are behind; `detail` says how it stands.
    fn step(&mut self, done: u64, detail: &str);
    /// The stage is over; `summary` is worth keeping.
    fn end(&mut self, summary: &str);
    /// A line worth reading.
    fn note(&mut self, line: &str);
    /// The same and more, for programs.
    fn event(&mut self, _event: &Event) {}
    /// A line that should be read, and an event.
    fn warn(&mut self, warning: &str) {
        let text = &message(warning);
        self.note(&format!("warning: {text}"));
        self.event(&Event::Warning { text });
    }
    /// Whether the work shall stop where it can be taken up again.
    fn stop_wanted(&self) -> bool {
        false
    }
}

/// Listens to nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str, _: u64) {}
    fn step(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
}
