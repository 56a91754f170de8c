//! `lottery worker`: one of many processes that carry out a sweep together.

use super::{
    options::numbers,
    output::print,
    sweep::{ExecutionArgs, carry_out, count, document, some_failed},
};
use crate::{
    error::{Error, Result},
    store::Store,
    sweep::{Sweep, fate::standing, local::Options, state::Status},
};
use clap::Args;
use std::time::{Duration, Instant};

const ABOUT: &str = "\
Takes runs of a sweep that was written down before, until none is left to begin.

Start as many as you like, on as many machines as see the store: each run and each shared stage is computed by one of \
them. A worker waits where the next run needs what another worker computes, and ends when all runs that are left are \
being computed by others. What a killed worker had begun another takes up: at once on the same machine, on another \
after a minute without a sign of life (LOTTERY_LEASE=SECONDS).

`lottery sweep … --plan` writes a sweep down without beginning it, and prints its name.

Exit codes: 0 nothing left to begin, 4 stopped by a signal or --time-limit with work left, 5 some runs failed.";

/// `lottery worker`, as typed.
#[derive(Args, Debug)]
#[command(about = "One of many processes that carry out a sweep together", long_about = ABOUT)]
pub struct WorkerArgs {
    /// The beginning of the sweep's name, as `lottery status` shows it
    #[arg(value_name = "SWEEP")]
    id: String,

    #[command(flatten)]
    execution: ExecutionArgs,

    /// CPU threads of each process, where its settings do not say [default: the cores, shared with all that computes here]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..=1024), help_heading = "Execution")]
    threads: Option<u64>,

    /// Stop after so many seconds, where the work can be taken up again
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds, help_heading = "Execution")]
    time_limit: Option<Duration>,
}

fn seconds(typed: &str) -> std::result::Result<Duration, String> {
    let seconds = typed.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "write a number of seconds, such as 3600".to_owned())
}

pub fn run(arguments: &WorkerArgs) -> Result<()> {
    let until = arguments.time_limit.and_then(|limit| Instant::now().checked_add(limit));
    let execution = &arguments.execution;
    let sweep = Sweep::find(&arguments.id, &Store::at(&execution.store())?)?;
    let store = Store::open(&execution.store())?;
    let failed_before = count(&standing(&sweep, &store)?, Status::Failed);
    let mut options = Options { wait_for_others: false, until, ..execution.options()? };
    options.threads = arguments.threads.map(|threads| threads as usize);
    let (fates, stopped) = carry_out(&sweep, &store, execution, &options)?;
    if execution.json {
        print(&document(&sweep, &store, &fates, None)?)?;
    }
    let late = until.is_some_and(|until| Instant::now() >= until);
    let pending = count(&fates, Status::Pending);
    if (stopped || late) && pending > 0 {
        return Err(Error::stopped(&format!("with {pending} of {} runs to go", fates.len())));
    }
    if count(&fates, Status::Failed) > failed_before {
        return Err(some_failed(&sweep, &store, &fates));
    }
    Ok(())
}
