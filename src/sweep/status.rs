//! The state of a store's sweeps and records, read from its files.

use super::{
    Run, Sweep,
    live::Live,
    lone::{Lone, lone},
    plan::{folder, ids},
    records::{self, Expected, Ignored, Summary},
    slurm::{self, QueueCounts, Submission},
    state::{self, State, Status},
};
use crate::{error::Result, experiment::Contents, store::Store};
use rayon::prelude::*;
use serde::Serialize;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// What `lottery status` shows.
#[derive(Serialize)]
pub struct Overview {
    pub format_version: u32,
    pub store: PathBuf,
    pub sweeps: Vec<SweepStatus>,
    pub records: Vec<Recorded>,
    /// Runs outside of sweeps that have no record.
    pub lone: Vec<Lone>,
    /// Files that are not counted: damaged ones, and others in the place of records.
    pub ignored: Vec<Ignored>,
}

#[derive(Serialize)]
pub struct SweepStatus {
    pub id: String,
    pub runs: Vec<RunStatus>,
    /// `None` if the sweep was never submitted.
    pub slurm: Option<SlurmStatus>,
}

/// What was submitted to Slurm, and what is still in its queue.
#[derive(Serialize)]
pub struct SlurmStatus {
    /// The number of array elements of all submissions.
    pub elements: usize,
    /// The job ids of their arrays.
    pub jobs: Vec<u64>,
    /// Whether the last submission was cancelled.
    pub cancelled: bool,
    /// `None` unless Slurm was asked and answered.
    pub queued: Option<usize>,
    pub running: Option<usize>,
    #[serde(skip)]
    submissions: Vec<Submission>,
}

#[derive(Serialize)]
pub struct RunStatus {
    #[serde(flatten)]
    pub state: State,
    /// Progress, while it runs.
    pub live: Option<Live>,
    pub log: PathBuf,
}

#[derive(Serialize)]
pub struct Recorded {
    pub path: PathBuf,
    /// The run's name in sweeps.
    pub run: Option<String>,
    pub model: String,
    pub model_sha256: String,
    #[serde(flatten)]
    pub summary: Summary,
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
    /// Asks Slurm for the elements in its queue. Without an answer the counts stay unknown; the rest does not depend on
    /// it.
    pub fn ask_slurm(&mut self) {
        let mut submitted: Vec<_> = self.sweeps.iter_mut().filter_map(|sweep| sweep.slurm.as_mut()).collect();
        let arrays = submitted.iter().flat_map(|slurm| &slurm.submissions).flat_map(|one| &one.arrays);
        let Ok(queue) = slurm::Queue::of(arrays) else { return };
        for slurm in &mut submitted {
            let QueueCounts { queued, running } =
                queue.counts(slurm.submissions.iter().flat_map(|one| &one.arrays));
            (slurm.queued, slurm.running) = (Some(queued), Some(running));
        }
    }
}

pub fn overview(store: &Store) -> Result<Overview> {
    store.must_exist()?;
    let records::Records { found, mut ignored } = records::all(store)?;
    let records: Vec<Recorded> = found
        .into_par_iter()
        .map(|(path, summary, ())| Recorded {
            run: summary.run(),
            model: summary.model.name.clone(),
            model_sha256: summary.model.sha256.clone(),
            path,
            summary,
        })
        .collect();
    let mut of_settings: BySettings = HashMap::new();
    for (settings, record) in records.par_iter().map(|r| (r.summary.settings_key(), r)).collect::<Vec<_>>() {
        of_settings.entry(settings).or_default().push(record);
    }
    let mut sweeps = Vec::new();
    for id in ids(store)? {
        let dir = folder(store).join(&id);
        match Sweep::load(&dir) {
            Ok(found) => sweeps.push(sweep(store, found, &of_settings, &mut ignored)?),
            // The others are worth showing.
            Err(error) => {
                ignored.push(Ignored { path: dir.join("sweep.json"), why: format!("is no sweep: {error}") })
            }
        }
    }
    let in_sweeps = sweeps.iter().flat_map(|sweep| &sweep.runs).map(|run| &*run.state.run);
    let known = records.iter().filter_map(|record| record.run.as_deref()).chain(in_sweeps).collect();
    let lone = lone(store, &known);
    Ok(Overview { format_version: 1, store: store.dir().to_owned(), sweeps, records, lone, ignored })
}

/// Records by [`Summary::settings_key`].
type BySettings<'a> = HashMap<Option<String>, Vec<&'a Recorded>>;

fn sweep(
    store: &Store,
    sweep: Sweep,
    records: &BySettings,
    ignored: &mut Vec<Ignored>,
) -> Result<SweepStatus> {
    let Sweep { id, dir, .. } = &sweep;
    let mut contents = Contents::new(&sweep.directory, store);
    sweep.runs.iter().for_each(|run| contents.read(&run.config));
    let runs = sweep.runs.par_iter().map(|run| run_status(store, dir, run, records, &contents));
    let (runs, damaged): (Vec<_>, Vec<_>) = runs.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    ignored.extend(damaged.into_iter().flatten());
    Ok(SweepStatus { id: id.clone(), runs, slurm: SlurmStatus::of(slurm::all(dir)?) })
}

fn run_status(
    store: &Store,
    sweep: &Path,
    run: &Run,
    records: &BySettings,
    contents: &Contents,
) -> Result<(RunStatus, Option<Ignored>)> {
    let (mut state, damaged) = match State::read(sweep, &run.name) {
        Ok(state) => (state, None),
        Err(damaged) => (State::pending(&run.name), Some(damaged)),
    };
    if state.status == Status::Running && !state::is_held(store, &run.name) {
        // Its process was killed before it could write its state.
        state.status = Status::Pending;
    }
    if state.status == Status::Done {
        // The record may have moved since: a run with other settings takes the name seed-<n>.json.
        let roots = contents.roots(&run.config);
        let is_known = roots.is_some();
        let expected = Expected::new(run, roots)?;
        let alike = records.get(&Some(expected.settings_key().to_owned())).map_or(&[][..], Vec::as_slice);
        let own = |record: &&&Recorded| expected.matches_contents(&record.summary, record.run.as_deref());
        match alike.iter().find(own) {
            Some(record) => state.record = Some(record.path.clone()),
            // Its model, data or ticket have changed: the sweep's command would repeat it.
            None if is_known && !alike.is_empty() => {
                (state.status, state.record) = (Status::Pending, None);
            }
            None => {}
        }
    }
    let running = state.status == Status::Running;
    let live = running.then(|| Live::load(&Live::path(sweep, &run.name))).flatten();
    let log = sweep.join("logs").join(format!("{}.log", run.name));
    Ok((RunStatus { state, live, log }, damaged))
}
