//! How the sweeps and records of a store stand, read from its files alone.

use super::{
    live::Live,
    plan::{folder, ids},
    records::{self, Summary},
    state::{self, State, Status},
};
use crate::{
    error::{Error, Result},
    store::Store,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};

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

pub fn overview(store: &Store) -> Result<Overview> {
    if !store.dir().is_dir() {
        return Err(Error::data(format!(
            "there is no store {}. Name it with --store or LOTTERY_STORE.",
            store.dir().display()
        )));
    }
    let sweeps = ids(store)?.into_iter().map(|id| sweep(store, id)).collect::<Result<_>>()?;
    let records = records::all(store)?.into_iter().map(|(path, summary)| Recorded { path, summary });
    Ok(Overview { format_version: 1, store: store.dir().to_owned(), sweeps, records: records.collect() })
}

fn sweep(store: &Store, id: String) -> Result<SweepStatus> {
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
        let running = state.status == Status::Running;
        let live = running.then(|| Live::load(&Live::path(&dir, &name))).flatten();
        RunStatus { state, live, log: dir.join("logs").join(format!("{name}.log")) }
    });
    Ok(SweepStatus { runs: runs.collect(), id })
}
