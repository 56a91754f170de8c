//! Everybody who listens to a run: the talk on stderr, the sweep that began it, and what is written down.

use super::talk::Talk;
use crate::{
    events::Recorder,
    sweep::live::Report,
    train::{Event, Progress},
};
use std::{io, path::Path};

/// Tells all of them.
pub struct Listeners {
    talk: Talk,
    report: Option<Report>,
    recorders: Vec<Listening>,
    /// The one that is being computed.
    stage: Option<String>,
}

struct Listening {
    recorder: Box<dyn Recorder>,
    /// That it cannot write was said.
    told: bool,
}

impl Listeners {
    pub fn new(talk: Talk, report: Option<Report>) -> Self {
        Self { talk, report, recorders: Vec::new(), stage: None }
    }

    /// From here on it is written down there too.
    pub fn record_to(&mut self, recorder: Box<dyn Recorder>) {
        self.recorders.push(Listening { recorder, told: false });
    }
}

/// A run without events is better than none.
pub fn not_written(path: &Path, error: &io::Error) -> String {
    format!("warning: events cannot be written to {}: {error}. The run goes on without them", path.display())
}

impl Progress for Listeners {
    fn begin(&mut self, stage: &str, total: u64) {
        if let Some(report) = &mut self.report {
            report.begin(stage, total);
        }
        self.talk.begin(stage, total);
    }

    fn step(&mut self, done: u64, detail: &str) {
        if let Some(report) = &mut self.report {
            report.step(done, detail);
        }
        self.talk.step(done, detail);
    }

    fn end(&mut self, summary: &str) {
        self.talk.end(summary);
    }

    fn say(&mut self, line: &str) {
        self.talk.say(line);
    }

    fn event(&mut self, event: &Event) {
        if let Event::StageBegins { stage } = event {
            self.stage = Some((*stage).to_owned());
        }
        let stage = event.stage().or(self.stage.as_deref());
        for Listening { recorder, told } in &mut self.recorders {
            if let Err(error) = recorder.record(stage, event)
                && !*told
            {
                self.talk.say(&not_written(recorder.path(), &error));
                *told = true;
            }
        }
        if let Event::StageEnds { .. } = event {
            self.stage = None;
        }
    }

    fn stop_wanted(&self) -> bool {
        self.talk.stop_wanted()
    }
}
