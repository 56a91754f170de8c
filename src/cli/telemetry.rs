//! Where the progress of a run goes: the console, the sweep that started it, and the recorders of its events.

use super::console::Console;
use crate::{
    events::Recorder,
    store::{StageKind, Weights},
    sweep::live::Report,
    train::{Event, Progress},
};
use std::{io, path::Path};

/// Passes progress and events on to all of them.
pub struct Telemetry {
    console: Console,
    report: Option<Report>,
    recorders: Vec<Sink>,
    /// The stage that is being computed.
    stage: Option<String>,
    computed: bool,
    /// Trainings that are not done yet.
    trainings: u64,
}

struct Sink {
    recorder: Box<dyn Recorder>,
    /// The failure to write was reported, which is done once.
    warned: bool,
}

impl Telemetry {
    pub fn new(console: Console, report: Option<Report>) -> Self {
        Self { console, report, recorders: Vec::new(), stage: None, computed: false, trainings: 0 }
    }

    /// The number of trainings of the run, from which it says how long it will take.
    pub fn expect(&mut self, trainings: u64) {
        self.trainings = trainings;
    }

    /// Whether a stage was computed here.
    pub fn has_computed(&self) -> bool {
        self.computed
    }

    /// Sends every event from here on to this recorder too.
    pub fn add_recorder(&mut self, recorder: Box<dyn Recorder>) {
        self.recorders.push(Sink { recorder, warned: false });
    }
}

/// The warning that events are lost. A run without events is better than no run.
pub fn not_written(path: &Path, error: &io::Error) -> String {
    format!(
        "warning: events cannot be written to {}: {error}. The run continues without them",
        path.display()
    )
}

impl Progress for Telemetry {
    fn begin(&mut self, stage: &str, total: u64) {
        if let Some(report) = &mut self.report {
            report.begin(stage, total);
        }
        self.console.begin(stage, total);
    }

    fn step(&mut self, done: u64, detail: &str) {
        if let Some(report) = &mut self.report {
            report.step(done, detail);
        }
        self.console.step(done, detail);
    }

    fn end(&mut self, summary: &str) {
        self.console.end(summary);
    }

    fn note(&mut self, line: &str) {
        self.console.note(line);
    }

    fn event(&mut self, event: &Event) {
        let trains = |stage: &str| StageKind::of(stage).is_some_and(|kind| kind.weights != Weights::None);
        match event {
            Event::StageBegins { stage } if trains(stage) => self.console.expect(self.trainings),
            Event::StageFound { stage } | Event::StageEnds { stage, .. } if trains(stage) => {
                self.trainings = self.trainings.saturating_sub(1);
            }
            _ => {}
        }
        if let Event::StageBegins { stage } = event {
            (self.stage, self.computed) = (Some((*stage).to_owned()), true);
        }
        let stage = event.stage().or(self.stage.as_deref());
        for Sink { recorder, warned } in &mut self.recorders {
            if let Err(error) = recorder.record(stage, event)
                && !*warned
            {
                self.console.note(&not_written(recorder.path(), &error));
                *warned = true;
            }
        }
        if let Event::StageEnds { .. } = event {
            self.stage = None;
        }
    }

    fn stop_wanted(&self) -> bool {
        self.console.stop_wanted()
    }
}
