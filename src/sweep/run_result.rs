//! The state of a sweep's runs, checked against the records of the store.

use super::{
    Run, Sweep,
    records::{self, Expected, Summary},
    state::{State, Status},
};
use crate::{error::Result, experiment::Contents, store::Store};

/// The state of a run and, once it is done, the summary of its record.
#[derive(Clone, Debug)]
pub struct RunResult {
    pub state: State,
    pub summary: Option<Summary>,
}

/// Every run of the sweep; nothing is written.
pub fn run_results(sweep: &Sweep, store: &Store) -> Result<Vec<RunResult>> {
    let mut contents = Contents::new(&sweep.directory, store);
    sweep.runs.iter().map(|run| run_result(sweep, store, run, &mut contents)).collect()
}

/// A run is done once the store has its record, whichever process wrote it: one of the same settings, and of the
/// present contents of model and data.
pub(super) fn run_result(
    sweep: &Sweep,
    store: &Store,
    run: &Run,
    contents: &mut Contents,
) -> Result<RunResult> {
    let mut state = sweep.state(run);
    let found = records::find(store, run, &Expected::new(run, contents.look_up(&run.config))?)?;
    state.status = match (&found, state.status) {
        (Some(_), _) => Status::Done,
        (None, Status::Failed) => Status::Failed,
        // Its record was removed, or its process is gone.
        (None, _) => Status::Pending,
    };
    state.record = found.as_ref().map(|(path, _)| path.clone());
    Ok(RunResult { state, summary: found.map(|(_, summary)| summary) })
}
