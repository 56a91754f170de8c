//! `lottery worker`: one of several processes that execute a sweep together.

use super::{
    options::numbers,
    output::print,
    sweep::{ExecutionArgs, count, document, execute_runs, some_failed},
};
use crate::{
    error::{Error, Result},
    store::Store,
    sweep::{Options, Sweep, run_result::run_results, state::Status},
};
use clap::Args;
use std::time::{Duration, Instant};

const ABOUT: &str = "\
Executes runs of a planned sweep until none is left to start.

Start as many workers as you like, on any machines that see the store: each run and each shared stage is computed by one \
of them. A worker waits where its next run needs a stage that another worker is computing, and ends when all remaining \
runs are being computed by others. The runs of a killed worker are taken over: at once on the same machine, on another \
machine after a minute without a heartbeat (LOTTERY_LEASE=SECONDS).

`lottery sweep … --plan` saves a sweep without starting it, and prints its name.

Exit codes: 0 nothing left to start, 4 stopped by a signal or --time-limit with work left, 5 some runs failed.";

/// The flags of `lottery worker`.
#[derive(Args, Debug)]
#[command(about = "Execute a sweep together with other workers", long_about = ABOUT)]
pub struct WorkerArgs {
    /// The start of the sweep's name, as shown by `lottery status`
    #[arg(value_name = "SWEEP")]
    id: String,

    #[command(flatten)]
    execution: ExecutionArgs,

    /// CPU threads of each process, unless its settings say otherwise [default: a share of the cores]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..=1024), help_heading = "Execution")]
    threads: Option<u64>,

    /// Stop after this many seconds, at a point from which the work can resume
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds, help_heading = "Execution")]
    time_limit: Option<Duration>,
}

fn seconds(typed: &str) -> std::result::Result<Duration, String> {
    let seconds = typed.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds, such as 3600".to_owned())
}

pub fn run(arguments: &WorkerArgs) -> Result<()> {
    let until = arguments.time_limit.and_then(|limit| Instant::now().checked_add(limit));
    let execution = &arguments.execution;
    let sweep = Sweep::find(&arguments.id, &Store::at(&execution.store())?)?;
    let store = Store::open(&execution.store())?;
    let failed_before = count(&run_results(&sweep, &store)?, Status::Failed);
    let mut options = Options { wait_for_others: false, until, ..execution.options()? };
    options.threads = arguments.threads.map(|threads| threads as usize);
    let (results, stopped) = execute_runs(&sweep, &store, execution, &options)?;
    if execution.json {
        print(&document(&sweep, &store, &results, &[])?)?;
    }
    let late = until.is_some_and(|until| Instant::now() >= until);
    let pending = count(&results, Status::Pending);
    if (stopped || late) && pending > 0 {
        return Err(Error::stopped(&format!("with {pending} of {} runs left", results.len())));
    }
    if count(&results, Status::Failed) > failed_before {
        return Err(some_failed(&sweep, &store, &results));
    }
    Ok(())
}
