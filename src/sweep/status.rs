//! How the sweeps and records of a store stand, read from its files alone.

use super::{
    Run, Sweep,
    live::Live,
    plan::{folder, ids},
    records::{self, Expected, Ignored, Summary},
    slurm::{self, Standing, Submission},
    state::{self, State, Status},
};
use crate::{error::Result, experiment::Contents, store::Store};
use rayon::prelude::*;
use serde::Serialize;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// Everything that `lottery status` shows.
#[derive(Serialize)]
pub struct Overview {
    pub format_version: u32,
    pub store: PathBuf,
    pub sweeps: Vec<SweepStatus>,
    pub records: Vec<Recorded>,
    /// Files among the records that are not counted.
    pub ignored: Vec<Ignored>,
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
    let records::Records { found, ignored } = records::all(store)?;
    let records: Vec<Recorded> = found
        .into_par_iter()
        .map(|(path, summary)| Recorded {
            run: summary.run(),
            model: summary.model.name.clone(),
            model_sha256: summary.model.sha256.clone(),
            path,
            summary,
        })
        .collect();
    let mut of_settings: BySettings = HashMap::new();
    for (settings, record) in records.par_iter().map(|r| (r.summary.what(), r)).collect::<Vec<_>>() {
        of_settings.entry(settings).or_default().push(record);
    }
    let sweeps = ids(store)?.into_iter().map(|id| sweep(store, &id, &of_settings)).collect::<Result<_>>()?;
    Ok(Overview { format_version: 1, store: store.dir().to_owned(), sweeps, records, ignored })
}

/// Records by [`Summary::what`].
type BySettings<'a> = HashMap<Option<String>, Vec<&'a Recorded>>;

fn sweep(store: &Store, id: &str, records: &BySettings) -> Result<SweepStatus> {
    let dir = folder(store).join(id);
    let sweep = Sweep::load(&dir)?;
    let mut contents = Contents::new(&sweep.directory, store);
    sweep.runs.iter().for_each(|run| contents.read(&run.config));
    let runs = sweep.runs.par_iter().map(|run| run_status(store, &dir, run, records, &contents));
    let runs = runs.collect::<Result<_>>()?;
    Ok(SweepStatus { id: id.to_owned(), runs, slurm: SlurmStatus::of(slurm::all(&dir)?) })
}

fn run_status(
    store: &Store,
    sweep: &Path,
    run: &Run,
    records: &BySettings,
    contents: &Contents,
) -> Result<RunStatus> {
    let mut state = State::load(sweep, &run.name);
    if state.status == Status::Running && !state::is_held(store, &run.name) {
        // Its process is gone, and so is whoever would have said so.
        state.status = Status::Pending;
    }
    if state.status == Status::Done {
        // Where it was when the run ended a run of other settings may have put its own since.
        let finetuned = contents.first_stage(&run.config);
        let is_known = finetuned.is_some();
        let wanted = Expected::new(run, finetuned)?;
        let alike = records.get(&Some(wanted.settings().to_owned())).map_or(&[][..], Vec::as_slice);
        let own = |record: &&&Recorded| wanted.is_of(record.summary.finetuned(), record.run.as_deref());
        match alike.iter().find(own) {
            Some(record) => state.record = Some(record.path.clone()),
            // Its model or data are others now: the sweep's command would begin it anew.
            None if is_known && !alike.is_empty() => {
                (state.status, state.record) = (Status::Pending, None);
            }
            None => {}
        }
    }
    let running = state.status == Status::Running;
    let live = running.then(|| Live::load(&Live::path(sweep, &run.name))).flatten();
    Ok(RunStatus { state, live, log: sweep.join("logs").join(format!("{}.log", run.name)) })
}
