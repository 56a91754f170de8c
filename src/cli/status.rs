//! `lottery status`: the state of the sweeps and records of a store.

use super::{
    choice::one_of,
    marks::failures,
    matching::{lines, matching},
    means, options,
    output::{counted, print, show, to_stderr},
    sweep::duration,
    terminal,
};
use crate::{
    choice::Choice,
    error::{Error, Result, excerpt, message, printable},
    store::Store,
    sweep::{
        live::Live,
        lone::{Fate, Lone},
        records::Ignored,
        state::Status,
        status::{Overview, SlurmStatus, SweepStatus, overview},
    },
    task::TaskId,
};
use clap::Args;
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
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
#[command(about = "Show the progress and results of a store's sweeps and runs")]
pub struct StatusArgs {
    /// Only this sweep and its records, by the start of its name
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,

    /// Only runs and records of this task
    #[arg(long, value_name = "TASK", value_parser = one_of::<TaskId>())]
    task: Option<String>,

    /// Only what failed, with its logs
    #[arg(long, conflicts_with = "watch")]
    failed: bool,

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
        arguments.choose(&mut overview)?;
        slurm.fill_in(&mut overview);
        let records = overview.records.iter().filter(|_| !arguments.watch);
        let highest = matching(&store, records.map(|record| (&*record.path, &record.summary)))?;
        if arguments.json {
            let mut value = serde_json::to_value(&overview).map_err(|e| Error::internal(e.to_string()))?;
            value["matching"] = json!(highest);
            return print(&format!("{value}\n"));
        }
        warn_of(&overview.ignored);
        let alone = overview.lone.iter().any(|lone| lone.fate == Fate::Running);
        let over = !arguments.watch || !alone && overview.sweeps.iter().all(is_over);
        match terminal::size().filter(|_| arguments.watch) {
            Some(size) => print(&screen(&overview, size))?,
            None if arguments.failed => show(&failed(&overview))?,
            None => show(&(shown(&overview, terminal::width()) + &lines(&highest)))?,
        }
        if over {
            return Ok(());
        }
        thread::sleep(REFRESH_INTERVAL);
    }
}

impl StatusArgs {
    /// Leaves out what was not asked for.
    fn choose(&self, overview: &mut Overview) -> Result<()> {
        if let Some(start) = &self.sweep {
            let ids: Vec<&str> = overview.sweeps.iter().map(|sweep| &*sweep.id).collect();
            if !ids.iter().any(|id| id.starts_with(start)) {
                return Err(Error::usage(format!(
                    "no sweep's name starts with {}. The store has {}.",
                    excerpt(start),
                    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
                )));
            }
            overview.sweeps.retain(|sweep| sweep.id.starts_with(start));
            let runs = overview.sweeps.iter().flat_map(|sweep| &sweep.runs);
            let own: HashSet<PathBuf> = runs.filter_map(|run| run.state.record.clone()).collect();
            overview.records.retain(|record| own.contains(&record.path));
            overview.lone.clear();
        }
        if let Some(task) = &self.task {
            let task = task.parse::<TaskId>().map_or_else(|_| task.clone(), |task| task.name().to_owned());
            let start = format!("{task}-");
            overview
                .sweeps
                .iter_mut()
                .for_each(|sweep| sweep.runs.retain(|run| run.state.run.starts_with(&start)));
            overview.sweeps.retain(|sweep| !sweep.runs.is_empty());
            overview.records.retain(|record| record.summary.task == task);
            overview.lone.retain(|lone| lone.run.starts_with(&start));
        }
        if self.failed {
            overview
                .sweeps
                .iter_mut()
                .for_each(|sweep| sweep.runs.retain(|run| run.state.status == Status::Failed));
            overview.sweeps.retain(|sweep| !sweep.runs.is_empty());
            overview.records.clear();
            overview.lone.retain(|lone| lone.fate == Fate::Failed);
        }
        Ok(())
    }
}

/// What failed: each run with its error and its log.
fn failed(overview: &Overview) -> String {
    let mut text = String::new();
    for sweep in &overview.sweeps {
        text += &format!("sweep {}: {} failed\n", sweep.id, sweep.runs.len());
        for run in &sweep.runs {
            let error = message(run.state.error.as_deref().unwrap_or("unknown reason"));
            text += &format!("failed: {}: {error}\n  log: {}\n", run.state.run, run.log.display());
        }
        text += &format!("to retry: lottery sweep retry {}\n", sweep.id);
    }
    text += &overview.lone.iter().map(lone).collect::<String>();
    if text.is_empty() { "nothing failed\n".to_owned() } else { text }
}

/// `demo-heads+ffns-good-1337-0123456789ab: stopped at finetune 121/500; to resume: lottery run`
fn lone(lone: &Lone) -> String {
    let Lone { fate, stage, step, command, pid, .. } = lone;
    let [run, host] = [&lone.run, &lone.host].map(|text| excerpt(text));
    let kind = stage.as_deref().map(|stage| excerpt(stage.split('-').next().unwrap_or(stage)));
    let at = kind.map_or_else(
        || "the start".to_owned(),
        |kind| match step {
            Some([step, total]) => format!("{kind} {step}/{total}"),
            None => kind.into_owned(),
        },
    );
    let resume =
        command.as_ref().map(|command| format!("; to resume: {}", message(command))).unwrap_or_default();
    match fate {
        Fate::Running => format!("running: {run}: {at} (process {pid} on {host})\n"),
        Fate::Stopped => format!("stopped: {run}: at {at}{resume}\n"),
        Fate::Interrupted => format!("interrupted: {run}: at {at}{resume}\n"),
        Fate::Failed => {
            format!("failed: {run}: {}\n", message(lone.message.as_deref().unwrap_or("unknown reason")))
        }
    }
}

/// Warns of files among the records that are not counted, the first few by name.
pub fn warn_of(ignored: &[Ignored]) {
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

/// The overview as text, in tables of at most `width` columns.
pub fn shown(overview: &Overview, width: Option<usize>) -> String {
    format!("{}{}", means::table(overview, width), progress(overview))
}

fn progress(overview: &Overview) -> String {
    overview.lone.iter().map(lone).chain(overview.sweeps.iter().map(sweep)).collect()
}

/// Leaves out rows of a table until it has `most` lines with what stands above and below it.
fn cut(lines: &mut Vec<String>, most: usize) {
    let is_row = |line: &String| line.starts_with('│');
    // The first row is the head.
    let (head, last) = (lines.iter().position(is_row), lines.iter().rposition(is_row));
    if let (Some(head), Some(last)) = (head, last)
        && let Some(excess) = lines.len().checked_sub(most).filter(|excess| *excess > 0)
        && last - head > excess + 1
    {
        let from = last - excess;
        let rows = lines[from..=last].iter().filter(|line| is_row(line)).count();
        lines.splice(from..=last, [format!("… {rows} more rows")]);
    }
    lines.truncate(most);
}

/// The overview in place of what is on the terminal: the progress of the sweeps whole, and what there is room for of the
/// table above it.
fn screen(overview: &Overview, (width, height): (usize, usize)) -> String {
    let fit =
        |text: &str| -> Vec<String> { text.lines().map(|line| line.chars().take(width).collect()).collect() };
    let mut below = fit(&printable(&progress(overview)));
    // The cursor stands on a line of its own.
    let room = height - 1;
    below.drain(..below.len().saturating_sub(room));
    let mut above = fit(&printable(&means::table(overview, Some(width))));
    cut(&mut above, room - below.len());
    let lines: String = above.iter().chain(&below).map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{}\x1b[J", terminal::for_stdout(&lines))
}

fn sweep(sweep: &SweepStatus) -> String {
    let [done, failed, running, pending] =
        [Status::Done, Status::Failed, Status::Running, Status::Pending].map(|status| sweep.count(status));
    let mut text = format!(
        "sweep {}: {}, {done} done, {failed} failed, {running} running, {pending} pending\n",
        sweep.id,
        counted(sweep.runs.len(), "run")
    );
    if let Some(slurm) = &sweep.slurm {
        text += &format!("  slurm: {}\n", submitted(slurm));
    }
    for run in sweep.of(Status::Running) {
        text +=
            &format!("  running {}: {}\n", run.state.run, run.live.as_ref().map_or("starting".into(), at));
    }
    let failed: Vec<_> = sweep.of(Status::Failed).collect();
    let errors = failed
        .iter()
        .map(|run| (run.state.run.clone(), run.state.error.as_deref().unwrap_or("unknown reason")));
    text += &failures(errors);
    if let Some(first) = failed.first() {
        text +=
            &format!("  {}: {}\n", if failed.len() > 1 { "first log" } else { "log" }, first.log.display());
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
    format!("{} submitted (job {jobs}){cancelled}{queue}", counted(slurm.elements, "element"))
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
