//! How the runs of a sweep stand.

use super::{
    Run, Sweep,
    records::{self, Expected, Summary},
    state::{State, Status},
};
use crate::{error::Result, experiment::Contents, store::Store};

/// How a run stands in the end.
#[derive(Clone, Debug)]
pub struct Fate {
    pub state: State,
    pub summary: Option<Summary>,
}

/// How every run of the sweep stands by the store; nothing is written.
pub fn standing(sweep: &Sweep, store: &Store) -> Result<Vec<Fate>> {
    let mut contents = Contents::new(&sweep.directory, store);
    sweep.runs.iter().map(|run| fate(sweep, store, run, &mut contents)).collect()
}

/// A run is done when its record is there, whoever wrote it: one of the same settings, of a model and data that hold
/// what they hold now.
pub(super) fn fate(sweep: &Sweep, store: &Store, run: &Run, contents: &mut Contents) -> Result<Fate> {
    let mut state = sweep.state(run);
    let found = records::find(store, run, &Expected::new(run, contents.look_up(&run.config))?)?;
    state.status = match (&found, state.status) {
        (Some(_), _) => Status::Done,
        (None, Status::Failed) => Status::Failed,
        // Done once, and its record is gone; or its process is.
        (None, _) => Status::Pending,
    };
    state.record = found.as_ref().map(|(path, _)| path.clone());
    Ok(Fate { state, summary: found.map(|(_, summary)| summary) })
}
