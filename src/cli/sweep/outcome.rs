//! How a sweep ended.

use super::{
    execution::ExecutionArgs,
    show::{count, some_failed},
};
use crate::{
    error::{Error, Result},
    store::Store,
    sweep::{Sweep, run_result::RunResult, state::Status},
};

/// What a sweep's end is to the caller: an error where runs were left, failed, or have warnings that are denied.
pub fn outcome(
    sweep: &Sweep,
    store: &Store,
    execution: &ExecutionArgs,
    results: &[RunResult],
    stopped: bool,
) -> Result<()> {
    let (failed, pending) = (count(results, Status::Failed), count(results, Status::Pending));
    if stopped && pending > 0 {
        return Err(Error::stopped(&format!("with {pending} of {} runs left", results.len())));
    }
    if failed > 0 {
        return Err(some_failed(sweep, store, results));
    }
    if pending > 0 {
        return Err(Error::stopped(&format!(
            "by other processes with {pending} of {} runs left",
            results.len()
        )));
    }
    let warned = results
        .iter()
        .filter_map(|result| result.summary.as_ref())
        .filter(|record| !record.warnings.is_empty());
    match warned.count() {
        n @ 1.. if execution.deny_warnings => {
            Err(Error::Warned(format!("--deny-warnings: {n} of {} records have warnings", results.len())))
        }
        _ => Ok(()),
    }
}
