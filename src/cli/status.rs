//! `lottery status`: the state of the sweeps and records of a store.

use super::{
    means, options,
    output::{print, to_stderr},
    sweep::duration,
};
use crate::{
    error::{Error, Result, message, printable},
    store::Store,
    sweep::{
        live::Live,
        records::Ignored,
        state::Status,
        status::{Overview, SlurmStatus, SweepStatus, overview},
    },
};
use clap::Args;
use std::{
    collections::HashMap,
    io::IsTerminal,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// How often `--watch` refreshes.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
/// How often it asks Slurm, whose controller serves others too.
const SLURM_INTERVAL: Duration = Duration::from_secs(20);

/// The flags of `lottery status`.
#[derive(Args, Debug)]
#[command(about = "Show the state of the sweeps and records of a store")]
pub struct StatusArgs {
    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Refresh every two seconds until nothing is running
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Print every sweep, run and record as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &StatusArgs) -> Result<()> {
    let store = Store::at(&options::store_folder(arguments.store.as_deref(), options::variable))?;
    let mut slurm = SlurmCounts::default();
    loop {
        let mut overview = overview(&store)?;
        slurm.fill_in(&mut overview);
        if arguments.json {
            let text = serde_json::to_string(&overview).map_err(|e| Error::internal(e.to_string()))?;
            return print(&format!("{text}\n"));
        }
        warn_of(&overview.ignored);
        let clear = if arguments.watch && std::io::stdout().is_terminal() { "\x1b[2J\x1b[H" } else { "" };
        print(&format!("{clear}{}", printable(&shown(&overview))))?;
        if !arguments.watch || overview.sweeps.iter().all(is_over) {
            return Ok(());
        }
        thread::sleep(REFRESH_INTERVAL);
    }
}

/// Warns of files among the records that are not counted, the first few by name.
fn warn_of(ignored: &[Ignored]) {
    const SHOWN: usize = 10;
    for Ignored { path, why } in ignored.iter().take(SHOWN) {
        to_stderr(&message(&format!("warning: {} {why}; it is not counted", path.display())));
    }
    if ignored.len() > SHOWN {
        to_stderr(&format!(
            "warning: {} more files are not counted; --json lists all",
            ignored.len() - SHOWN
        ));
    }
}

/// The latest counts from Slurm, by sweep: queued and running.
#[derive(Default)]
struct SlurmCounts {
    queried_at: Option<Instant>,
    counts: HashMap<String, (Option<usize>, Option<usize>)>,
}

impl SlurmCounts {
    fn fill_in(&mut self, overview: &mut Overview) {
        let query = self.queried_at.is_none_or(|at| at.elapsed() >= SLURM_INTERVAL);
        if query {
            overview.ask_slurm();
            self.queried_at = Some(Instant::now());
        }
        for sweep in &mut overview.sweeps {
            let Some(slurm) = &mut sweep.slurm else { continue };
            let counts = self.counts.entry(sweep.id.clone()).or_default();
            if query {
                *counts = (slurm.queued, slurm.running);
            }
            (slurm.queued, slurm.running) = *counts;
        }
    }
}

/// Whether nothing of the sweep is running or queued.
fn is_over(sweep: &SweepStatus) -> bool {
    let elements = |slurm: &SlurmStatus| slurm.queued.unwrap_or(0) + slurm.running.unwrap_or(0);
    sweep.count(Status::Running) == 0 && sweep.slurm.as_ref().is_none_or(|slurm| elements(slurm) == 0)
}

/// The overview as text.
pub fn shown(overview: &Overview) -> String {
    let sweeps: String = overview.sweeps.iter().map(sweep).collect();
    format!("{sweeps}{}", means::table(overview))
}

fn sweep(sweep: &SweepStatus) -> String {
    let [done, failed, running, pending] =
        [Status::Done, Status::Failed, Status::Running, Status::Pending].map(|status| sweep.count(status));
    let mut text = format!(
        "sweep {}: {} runs, {done} done, {failed} failed, {running} running, {pending} pending\n",
        sweep.id,
        sweep.runs.len()
    );
    if let Some(slurm) = &sweep.slurm {
        text += &format!("  slurm: {}\n", submitted(slurm));
    }
    for run in sweep.of(Status::Running) {
        text +=
            &format!("  running {}: {}\n", run.state.run, run.live.as_ref().map_or("starting".into(), at));
    }
    for run in sweep.of(Status::Failed) {
        let error = message(run.state.error.as_deref().unwrap_or("unknown reason"));
        text += &format!("  failed  {}: {error}\n          log: {}\n", run.state.run, run.log.display());
    }
    text
}

/// `8 elements submitted (job 12), 3 queued, 4 running`
fn submitted(slurm: &SlurmStatus) -> String {
    let jobs = slurm.jobs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let cancelled = if slurm.cancelled { ", cancelled" } else { "" };
    let queue = match (slurm.queued, slurm.running) {
        (Some(queued), Some(running)) => format!(", {queued} queued, {running} running"),
        _ => ", squeue does not answer here".to_owned(),
    };
    format!("{} elements submitted (job {jobs}){cancelled}{queue}", slurm.elements)
}

/// `finetune 120/345, loss 0.41, 3900 tokens/s, ETA 1 min 3 s`
fn at(live: &Live) -> String {
    let steps = match (live.done, live.total) {
        (0, _) => String::new(),
        (done, 0) => format!(" {done}"),
        (done, total) => format!(" {done}/{total}"),
    };
    let detail = if live.detail.is_empty() { String::new() } else { format!(", {}", live.detail) };
    let eta = live.eta.map(|eta| format!(", ETA {}", duration(eta))).unwrap_or_default();
    format!("{}{steps}{detail}{eta}", live.stage)
}
