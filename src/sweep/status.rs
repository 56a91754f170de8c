//! How the sweeps and records of a store stand, read from its files alone.

use super::{
    live::Live,
    plan::{folder, ids},
    records::{self, Summary},
    slurm::{self, Standing, Submission},
    state::{self, State, Status},
};
use crate::{
    error::{Error, Result},
    store::Store,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// Everything that `lottery status` shows.
#[derive(Serialize)]
pub struct Overview {
    pub format_version: u32,
    pub store: PathBuf,
    pub sweeps: Vec<SweepStatus>,
    pub records: Vec<Recorded>,
}

#[derive(Serialize)]
pub struct SweepStatus {
    pub id: String,
    pub runs: Vec<RunStatus>,
    /// Of a sweep that was submitted.
    pub slurm: Option<SlurmStatus>,
}

/// What was submitted, and what Slurm still has of it.
#[derive(Serialize)]
pub struct SlurmStatus {
    /// Array elements of all submissions.
    pub elements: usize,
    /// The ids of their arrays.
    pub jobs: Vec<u64>,
    /// Whether the last submission was cancelled.
    pub cancelled: bool,
    /// Known where Slurm was asked and has answered.
    pub queued: Option<usize>,
    pub running: Option<usize>,
    #[serde(skip)]
    submissions: Vec<Submission>,
}

#[derive(Serialize)]
pub struct RunStatus {
    #[serde(flatten)]
    pub state: State,
    /// Of a running one.
    pub live: Option<Live>,
    pub log: PathBuf,
}

#[derive(Serialize)]
pub struct Recorded {
    pub path: PathBuf,
    /// As runs are called in sweeps.
    pub run: Option<String>,
    pub model: String,
    #[serde(flatten)]
    pub summary: Summary,
}

/// The part of `sweep.json` that is wanted.
#[derive(Deserialize)]
struct Saved {
    runs: Vec<Name>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

impl SweepStatus {
    pub fn count(&self, status: Status) -> usize {
        self.of(status).count()
    }

    pub fn of(&self, status: Status) -> impl Iterator<Item = &RunStatus> {
        self.runs.iter().filter(move |run| run.state.status == status)
    }
}

impl SlurmStatus {
    fn of(submissions: Vec<Submission>) -> Option<Self> {
        let last = submissions.last()?;
        let arrays = submissions.iter().flat_map(|submission| &submission.arrays);
        Some(Self {
            elements: submissions.iter().map(Submission::elements).sum(),
            jobs: arrays.map(|array| array.job).collect(),
            cancelled: last.is_cancelled(),
            queued: None,
            running: None,
            submissions,
        })
    }
}

impl Overview {
    /// Asks Slurm what is still queued. Where it does not answer, nothing is known of that and all the rest holds.
    pub fn ask_slurm(&mut self) {
        let mut submitted: Vec<_> = self.sweeps.iter_mut().filter_map(|sweep| sweep.slurm.as_mut()).collect();
        let arrays = submitted.iter().flat_map(|slurm| &slurm.submissions).flat_map(|one| &one.arrays);
        let Ok(queue) = slurm::Queue::of(arrays) else { return };
        for slurm in &mut submitted {
            let Standing { queued, running } =
                queue.standing(slurm.submissions.iter().flat_map(|one| &one.arrays));
            (slurm.queued, slurm.running) = (Some(queued), Some(running));
        }
    }
}

pub fn overview(store: &Store) -> Result<Overview> {
    store.must_exist()?;
    let records: Vec<Recorded> = records::all(store)?
        .into_par_iter()
        .map(|(path, summary)| Recorded {
            run: summary.run(),
            model: summary.model().to_owned(),
            path,
            summary,
        })
        .collect();
    let of_run = records.iter().filter_map(|record| Some((record.run.as_deref()?, &*record.path))).collect();
    let sweeps = ids(store)?.into_iter().map(|id| sweep(store, id, &of_run)).collect::<Result<_>>()?;
    Ok(Overview { format_version: 1, store: store.dir().to_owned(), sweeps, records })
}

/// `records` are those of the store, by run.
fn sweep(store: &Store, id: String, records: &HashMap<&str, &Path>) -> Result<SweepStatus> {
    let dir = folder(store).join(&id);
    let path = dir.join("sweep.json");
    let text = fs::read(&path).map_err(|e| Error::io(&path, "read", &e))?;
    let saved: Saved = serde_json::from_slice(&text).map_err(|e| {
        Error::data(format!("{} is damaged: {e}. Give the sweep's command once more.", path.display()))
    })?;
    let runs = saved.runs.into_par_iter().map(|Name { name }| {
        let mut state = State::load(&dir, &name);
        if state.status == Status::Running && !state::is_held(store, &name) {
            // Its process is gone, and so is whoever would have said so.
            state.status = Status::Pending;
        }
        if state.status == Status::Done {
            // Where it was when the run ended a run of other settings may have put its own since.
            state.record = records.get(&*name).map(|path| path.to_path_buf()).or(state.record);
        }
        let running = state.status == Status::Running;
        let live = running.then(|| Live::load(&Live::path(&dir, &name))).flatten();
        RunStatus { state, live, log: dir.join("logs").join(format!("{name}.log")) }
    });
    Ok(SweepStatus { runs: runs.collect(), id, slurm: SlurmStatus::of(slurm::all(&dir)?) })
}
