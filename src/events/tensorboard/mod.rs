//! `<dir>/<run>/events.out.tfevents.<time>.<host>.<pid>`: scalars for TensorBoard, one file for each process of a run.

pub mod proto;
pub mod record;

use super::{Recorder, host, is_kept, now};
use crate::{
    error::{Error, Result},
    file,
    store::StageKind,
    train::{Event, event::TrainingStep},
};
use proto::{Summary, Value};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Part of every event file's name; TensorBoard looks for it.
const MARK: &str = "tfevents";

/// Far more than the few hundred kilobytes that a process writes.
const LARGEST: u64 = 1 << 30;

/// What the steps 0, 1 and 2 of `eval/…` are.
const MODELS: [&str; 3] = ["full", "pruned", "retrained"];

/// The event file of this process.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    size: u64,
    /// Points in the files of earlier processes, by tag and step. A run that resumes from a checkpoint repeats some steps,
    /// with the same values; these are not written again, since not every reader of event files can handle duplicates.
    earlier: HashMap<(String, i64), f32>,
}

impl TensorBoard {
    /// Creates the file below the folder of this run, and that folder.
    pub fn create(dir: &Path, run: &str) -> Result<Self> {
        let refused = |path: &Path, error: io::Error| {
            Error::data(format!(
                "cannot write {} for TensorBoard: {error}. Give --tensorboard a writable folder, or drop the flag.",
                path.display()
            ))
        };
        let folder = dir.join(run);
        fs::create_dir_all(&folder).map_err(|e| refused(&folder, e))?;
        let earlier = points(&folder).map_err(|e| refused(&folder, e))?;
        let name = format!("events.out.{MARK}.{:010}.{}.{}", now() as u64, host(), std::process::id());
        let path = folder.join(name);
        let file = File::options().append(true).create(true).open(&path);
        let file = file.map_err(|e| refused(&path, e))?;
        let size = file.metadata().map_err(|e| refused(&path, e))?.len();
        let mut own = Self { path, file, size, earlier };
        let version = Some("brain.Event:2".to_owned());
        let first = proto::Event { wall_time: now(), step: 0, file_version: version, summary: None };
        own.write(&first).map_err(|e| refused(&own.path, e))?;
        Ok(own)
    }

    /// Writes these values at this step, unless an earlier process has written the same. Speed may differ.
    fn scalars(&mut self, step: u64, scalars: Vec<Value>) -> io::Result<()> {
        let step = step as i64;
        let mut lasting = scalars.iter().filter(|value| !value.tag.ends_with(RATE));
        let same =
            |value: &Value| self.earlier.get(&(value.tag.clone(), step)).copied() == value.simple_value;
        if !self.earlier.is_empty() && lasting.all(same) {
            return Ok(());
        }
        let summary = Some(Summary { value: scalars });
        self.write(&proto::Event { wall_time: now(), step, file_version: None, summary })
    }

    /// Writes a record at once, since a reader may be following the file.
    fn write(&mut self, event: &proto::Event) -> io::Result<()> {
        let bytes = record::framed(event);
        let written = self.file.write_all(&bytes);
        match &written {
            Ok(()) => self.size += bytes.len() as u64,
            // Nothing after a partial record could be read.
            Err(_) => drop(self.file.set_len(self.size)),
        }
        written
    }
}

impl Recorder for TensorBoard {
    fn record(&mut self, stage: Option<&str>, event: &Event) -> io::Result<()> {
        match event {
            Event::Step(step) if is_kept(step.step, step.total) => {
                let kind = stage.and_then(StageKind::of);
                self.scalars(step.step, training(kind.map_or("train", |kind| kind.scalars), step))
            }
            Event::SearchPass(pass) => {
                let kept = [("heads_kept", pass.heads_kept), ("ffns_kept", pass.ffns_kept)];
                let kept = kept.map(|(name, units)| (name, units as f64));
                let scalars = [("score", pass.score)].into_iter().chain(kept);
                self.scalars(pass.pass as u64, scalars.map(|(name, v)| scalar("search", name, v)).collect())
            }
            Event::Scores { model, metrics } => match MODELS.iter().position(|known| known == model) {
                Some(step) => self
                    .scalars(step as u64, metrics.iter().map(|(name, v)| scalar("eval", name, *v)).collect()),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The one scalar that differs when a step is repeated.
const RATE: &str = "tokens_per_s";

fn training(group: &str, step: &TrainingStep) -> Vec<Value> {
    let TrainingStep { loss, learning_rate, gradient_norm, tokens_per_s, .. } = *step;
    [("loss", loss), ("learning_rate", learning_rate), ("gradient_norm", gradient_norm), (RATE, tokens_per_s)]
        .map(|(name, value)| scalar(group, name, value))
        .into()
}

fn scalar(group: &str, name: &str, value: f64) -> Value {
    Value { tag: format!("{group}/{name}"), simple_value: Some(value as f32) }
}

/// Every point in the event files of a folder.
fn points(folder: &Path) -> io::Result<HashMap<(String, i64), f32>> {
    let mut points = HashMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().contains(MARK)) {
            continue;
        }
        for event in record::events(&file::read(&path, LARGEST)?) {
            for value in event.summary.into_iter().flat_map(|summary| summary.value) {
                points.extend(value.simple_value.map(|number| ((value.tag, event.step), number)));
            }
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(n: u64, loss: f64, tokens_per_s: f64) -> Event<'static> {
        let gradient_norm = 1.0;
        Event::Step(TrainingStep {
            step: n,
            total: 9,
            epoch: 1,
            loss,
            learning_rate: 1e-3,
            gradient_norm,
            tokens_per_s,
        })
    }

    /// Steps with their losses in the file of a process.
    fn losses(board: &TensorBoard, tag: &str) -> Vec<(i64, f32)> {
        let events = record::events(&fs::read(&board.path).unwrap());
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        let of = |event: &proto::Event| {
            let value = event.summary.iter().flat_map(|s| &s.value).find(|value| value.tag == tag)?;
            Some((event.step, value.simple_value?))
        };
        events.iter().filter_map(of).collect()
    }

    #[test]
    fn a_step_that_is_taken_again_is_written_again_only_where_its_outcome_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = TensorBoard::create(folder.path(), "run").unwrap();
        for n in 1..=4 {
            first.record(Some("finetune-0"), &step(n, n as f64, 10.0)).unwrap();
        }
        first.record(Some("retrain-0"), &step(1, 7.0, 10.0)).unwrap();
        assert_eq!(losses(&first, "train/loss"), [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]);
        assert_eq!(losses(&first, "retrain/loss"), [(1, 7.0)]);
        // What a kill cut off is not there.
        let size = fs::metadata(&first.path).unwrap().len();
        first.file.set_len(size - 1).unwrap();
        let earlier = folder.path().join("run/events.out.tfevents.0000000001.elsewhere.7");
        fs::rename(&first.path, earlier).unwrap();

        let mut second = TensorBoard::create(folder.path(), "run").unwrap();
        for (n, loss) in [(3, 3.0), (4, 4.5), (5, 5.0)] {
            second.record(Some("finetune-0"), &step(n, loss, 20.0)).unwrap();
        }
        second.record(Some("retrain-0"), &step(1, 7.0, 10.0)).unwrap();
        assert_eq!(losses(&second, "train/loss"), [(4, 4.5), (5, 5.0)]);
        assert_eq!(losses(&second, "retrain/loss"), [(1, 7.0)]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = TensorBoard::create(&folder.path().join("file"), "run").err().unwrap();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("--tensorboard"), "{error}");
    }
}
