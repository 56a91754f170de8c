//! What keeps runs from starting, found before the first one starts, which may be hours before the others do.

use crate::{
    cli::output::to_stderr,
    error::{Error, Result},
    experiment::Preflight,
    store::Store,
    sweep::{Sweep, run_result, state::Status},
};
use std::collections::BTreeMap;

/// Reasons, each with the number of runs that it keeps from starting.
pub struct Obstacles {
    reasons: BTreeMap<String, usize>,
    runs: usize,
}

/// Checks the runs that are not done.
pub fn obstacles(sweep: &Sweep, store: &Store, mut preflight: Preflight) -> Result<Obstacles> {
    let mut reasons = BTreeMap::<String, usize>::new();
    for (run, result) in sweep.runs.iter().zip(run_result::run_results(sweep, store)?) {
        if result.state.status != Status::Done
            && let Err(why) = preflight.check(&run.config)
        {
            *reasons.entry(why).or_default() += 1;
        }
    }
    Ok(Obstacles { reasons, runs: sweep.runs.len() })
}

impl Obstacles {
    pub fn warn(&self) {
        for (why, n) in &self.reasons {
            to_stderr(&format!("warning: {n} of {} runs cannot start here: {why}", self.runs));
        }
    }

    /// # Errors
    /// Data: there is one. All but the first are told before.
    pub fn refuse(&self) -> Result<()> {
        let Some((why, n)) = self.reasons.first_key_value() else { return Ok(()) };
        for (why, n) in self.reasons.iter().skip(1) {
            to_stderr(&format!("warning: {n} of {} runs cannot start: {why}", self.runs));
        }
        Err(Error::data(format!(
            "{n} of {} runs cannot start, so none was started (--keep-going starts the others): {why}",
            self.runs
        )))
    }
}
