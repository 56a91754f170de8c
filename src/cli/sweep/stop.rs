//! `lottery sweep cancel` and `lottery sweep forget`.

use crate::{
    cli::{
        options::{store_folder, variable},
        output::show,
        slurm,
    },
    error::Result,
    store::Store,
    sweep::{Sweep, cancel},
};
use clap::Args;
use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

const CANCEL_ABOUT: &str = "\
Stops a sweep, wherever it runs: the processes of this and of other machines that execute it, and its elements in Slurm, \
queued ones too. Each run keeps a checkpoint, and the sweep's command resumes it.

It works from any machine that sees the store: where Slurm's scancel is missing, the elements find a file in the store \
and end on their own, running ones within seconds.";

/// How long to wait for runs to write their checkpoints.
const PATIENCE: Duration = Duration::from_secs(60);

/// The flags of `lottery sweep cancel`.
#[derive(Args, Debug)]
#[command(about = "Stop a running sweep, here or in Slurm; its command resumes it", long_about = CANCEL_ABOUT)]
pub struct CancelArgs {
    /// The start of the sweep's name, as shown by `lottery status`; optional if the store has only one sweep
    #[arg(value_name = "SWEEP", default_value = "", hide_default_value = true)]
    id: String,

    /// Where finished stages and records are kept [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// The flags of `lottery sweep forget`.
#[derive(Args, Debug)]
#[command(about = "Remove a sweep's list of runs, states and logs; records and stages are kept")]
pub struct ForgetArgs {
    /// The start of the sweep's name, as shown by `lottery status`
    #[arg(value_name = "SWEEP")]
    id: String,

    /// Where finished stages and records are kept [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

pub fn cancel(arguments: &CancelArgs) -> Result<()> {
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let sweep = Sweep::find(&arguments.id, &store)?;
    let elements = slurm::cancel(&sweep)?;
    let running = cancel::running(&sweep, &store);
    if running > 0 && elements.is_none() {
        cancel::request(&sweep)?;
        let until = Instant::now() + PATIENCE;
        while cancel::running(&sweep, &store) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(100));
        }
    }
    let stopped = match cancel::running(&sweep, &store) {
        0 => format!("{running} running stopped"),
        left => format!("{running} running asked to stop, {left} have not yet"),
    };
    show(&match elements {
        Some(lines) => lines,
        None if running == 0 => format!("sweep {}: nothing was queued or running\n", sweep.id),
        None => format!("sweep {}: {stopped}; its command resumes them\n", sweep.id),
    })
}

pub fn forget(arguments: &ForgetArgs) -> Result<()> {
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let id = Sweep::find_id(&arguments.id, &store)?;
    if let Ok(sweep) = Sweep::find(&id, &store) {
        slurm::refuse_active(&sweep)?;
    }
    cancel::forget(&id, &store)?;
    show(&format!("sweep {id} is forgotten; records and stages are kept\n"))
}
