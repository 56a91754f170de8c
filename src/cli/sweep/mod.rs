//! `lottery sweep`: many runs, each in a process of its own.

mod commas;
mod console;
mod execution;
pub(super) mod show;

pub use execution::ExecutionArgs;
pub use show::{count, document, duration, some_failed};

use super::{
    choice::{one_of, presets},
    options::{self, add_environment, numbers},
    output::{print, to_stderr},
    run_args::RunArgs,
    signals,
    slurm::{self as cluster, CancelArgs, SlurmArgs, SubmitOptions},
};
use crate::{
    engine::Machine,
    error::{Error, Result, excerpt},
    experiment::{Contents, Preflight},
    ops::Format,
    prune::{Method, Mode},
    store::{Keep, Store},
    sweep::{
        Grid, Options, Run, Sweep, estimate, grid,
        local::{self, Observer},
        records,
        run_result::{self, RunResult},
        slurm,
        state::Status,
    },
    task::TaskId,
};
use clap::{Args, Subcommand};
use console::SweepConsole;
use serde_json::json;
use show::table;
use std::{collections::BTreeMap, path::PathBuf};

const ABOUT: &str = "\
Many runs: every combination of the given tasks, modes, methods, models, seeds and settings.

Each run is a process of its own, with a log in the store. Runs that share a fine-tuned model or a search start once that \
is computed. If a run fails, the others continue.

Runs whose record is in the store are done and are not repeated: running the same command resumes a sweep that was \
stopped or killed. `lottery sweep retry` repeats failed runs.";

const EXAMPLES: &str = "\
Examples:
  The demo task with three seeds and three modes, two processes at a time:
    lottery sweep --tasks demo --modes good,bad,random --seeds 1337,42,86 --jobs 2

  Sparsity levels: a comma-separated list in --set adds an axis to the grid
    lottery sweep --tasks rte,mrpc --model MODEL --data GLUE --set search.threshold=0.95,0.9,0.8

  From a file; only list the runs, what is done and what the rest will take:
    lottery sweep configs/sweeps/prasanna2020.toml --data GLUE --dry-run

  A thousand runs whose weights would not fit on the disk:
    lottery sweep study.toml --jobs 4 --keep tickets

  Repeat failed runs:
    lottery sweep retry

  On a Slurm cluster, with 20 workers of one GPU each, 8 at a time:
    lottery sweep configs/sweeps/prasanna2020.toml --data GLUE --executor slurm \\
        --workers 20 --throttle 8 --time 4:00:00 --gpus-per-task 1

Exit codes: 0 all done, 4 stopped by a signal (run the same command to resume), 5 some runs failed.";

/// The flags of `lottery sweep`.
#[derive(Args, Debug)]
#[command(
    about = "Many runs: a grid of tasks, modes, methods, models, seeds and settings",
    long_about = ABOUT,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct SweepArgs {
    #[command(subcommand)]
    verb: Option<SweepVerb>,

    /// A TOML file: settings shared by all runs, [grid] with lists of values, [[include]] and [[exclude]] entries
    #[arg(value_name = "FILE.toml")]
    file: Option<PathBuf>,

    /// Tasks, or TOML files of your own
    #[arg(long, alias = "task", value_delimiter = ',', value_name = "TASK,…", value_parser = one_of::<TaskId>(), help_heading = "Grid")]
    tasks: Vec<String>,

    /// Subnetworks
    #[arg(long, alias = "mode", value_delimiter = ',', value_name = "MODE,…", value_parser = one_of::<Mode>(), help_heading = "Grid")]
    modes: Vec<String>,

    /// How tickets are found, and of what
    #[arg(long, alias = "method", value_delimiter = ',', value_name = "METHOD,…", value_parser = one_of::<Method>(), help_heading = "Grid")]
    methods: Vec<String>,

    /// Model folders, names on the hub, or tiny
    #[arg(long, alias = "model", value_delimiter = ',', value_name = "MODEL,…", help_heading = "Grid")]
    models: Vec<String>,

    /// Seeds; the paper's are 1337,42,86,71,166
    #[arg(long, alias = "seed", value_delimiter = ',', value_name = "N,…", help_heading = "Grid")]
    seeds: Vec<String>,

    /// How much is pruned, as a share: 0.5, 0.5:weights or 0.5:flops
    #[arg(long, value_delimiter = ',', value_name = "SHARE,…", help_heading = "Grid")]
    sparsity: Vec<String>,

    /// Weights that subnetworks are retrained from, as of run --init
    #[arg(long, value_delimiter = ',', value_name = "WEIGHTS,…", help_heading = "Grid")]
    init: Vec<String>,

    /// Tasks whose tickets are taken, in the place of the run's own: a transfer matrix with --tasks
    #[arg(long, value_delimiter = ',', value_name = "TASK,…", value_parser = one_of::<TaskId>(), help_heading = "Grid")]
    ticket_from: Vec<String>,

    /// A setting by its dotted key; a comma-separated list adds an axis to the grid; repeatable
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Grid")]
    set: Vec<String>,

    /// The folder that holds GLUE's folders
    #[arg(long, value_name = "DIR", help_heading = "Settings of all runs")]
    data: Option<String>,

    /// The recipe
    #[arg(long, value_name = "NAME", value_parser = presets(), help_heading = "Settings of all runs")]
    preset: Option<String>,

    /// A TOML file of settings; overrides the preset, and FILE.toml overrides it
    #[arg(long, value_name = "FILE.toml", help_heading = "Settings of all runs")]
    config: Option<PathBuf>,

    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", help_heading = "Settings of all runs")]
    device: Option<String>,

    /// The format of the matrix products
    #[arg(long, value_name = "DTYPE", value_parser = one_of::<Format>(), help_heading = "Settings of all runs")]
    dtype: Option<String>,

    /// CPU threads of each process [default: a share of the cores]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..=1024), help_heading = "Settings of all runs")]
    threads: Option<u64>,

    #[command(flatten)]
    execution: ExecutionArgs,

    #[command(flatten)]
    slurm: SlurmArgs,

    /// List the runs, what is done and what the rest will take, without starting anything; with --executor slurm, print the job script
    #[arg(long, help_heading = "Output")]
    dry_run: bool,

    /// Save the sweep for `lottery worker` and print its name, without starting anything
    #[arg(long, conflicts_with_all = ["dry_run", "executor"], help_heading = "Output")]
    plan: bool,
}

#[derive(Debug, Subcommand)]
enum SweepVerb {
    /// Repeat the failed runs of a sweep, and execute the pending ones
    Retry(Box<RetryArgs>),
    Cancel(CancelArgs),
}

#[derive(Args, Debug)]
struct RetryArgs {
    /// The start of the sweep's name, as shown by `lottery status`; optional if the store has only one sweep
    #[arg(value_name = "SWEEP", default_value = "", hide_default_value = true)]
    id: String,

    #[command(flatten)]
    execution: ExecutionArgs,

    #[command(flatten)]
    slurm: SlurmArgs,
}

impl SweepArgs {
    /// The sweep that flags and file describe, the file's options for Slurm, and a note for the user, if any.
    fn sweep(&self, store: &Store) -> Result<(Sweep, slurm::Options, Option<String>)> {
        let (mut grid, mut table) = match &self.file {
            Some(path) => Grid::read(path)?,
            None => Default::default(),
        };
        let origin = self.file.as_ref().map(|path| format!("file {}", path.display())).unwrap_or_default();
        let slurm = match table.remove("slurm") {
            Some(toml::Value::Table(table)) => slurm::Options::of_table(&table, &origin)?,
            Some(_) => {
                return Err(Error::usage(format!(
                    "slurm ({origin}) is not a table. Write [slurm], and below it lines such as partition = \"gpu\"."
                )));
            }
            None => slurm::Options::default(),
        };
        for (key, words, flag) in [
            ("task", &self.tasks, "--tasks"),
            ("mode", &self.modes, "--modes"),
            ("method", &self.methods, "--methods"),
            ("model", &self.models, "--models"),
            ("seed", &self.seeds, "--seeds"),
            ("prune.sparsity", &self.sparsity, "--sparsity"),
            ("init", &self.init, "--init"),
            ("ticket_from", &self.ticket_from, "--ticket-from"),
        ] {
            if !words.is_empty() {
                commas::refuse_path(key, words, flag)?;
                grid.axis(key, words, flag)?;
            }
        }
        let (lists, single): (Vec<&String>, Vec<&String>) = self
            .set
            .iter()
            .partition(|set| set.split_once('=').is_some_and(|(_, list)| grid::words(list).len() > 1));
        for set in lists {
            if let Some((key, list)) = set.split_once('=') {
                let words = grid::words(list);
                let origin = format!("--set {}", excerpt(set));
                commas::refuse_path(key.trim(), &words, &origin)?;
                grid.axis(key.trim(), &words, &origin)?;
            }
        }
        let shared = RunArgs {
            data: self.data.clone(),
            preset: self.preset.clone(),
            config: self.config.clone(),
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            threads: self.threads,
            set: single.into_iter().cloned().collect(),
            ..RunArgs::default()
        };
        let base = shared.layers(Some((&table, &origin)))?;
        let mut runs = grid.runs(&base, |layers| add_environment(layers, options::variable).map(drop))?;
        let settled = runs.iter_mut().map(|config| Machine::settle(config.run.device, &mut config.run.dtype));
        let note = settled.fold(None, |first, next| first.or(next));
        let stem = self.file.as_ref().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy());
        Ok((Sweep::new(stem.as_deref().unwrap_or("grid"), runs, store)?, slurm, note))
    }
}

pub fn run(arguments: &SweepArgs) -> Result<()> {
    match &arguments.verb {
        Some(SweepVerb::Retry(arguments)) => return retry(arguments),
        Some(SweepVerb::Cancel(arguments)) => return cluster::cancel(arguments),
        None => {}
    }
    let execution = &arguments.execution;
    let local = execution.options()?;
    let to_slurm = arguments.slurm.is_selected()?;
    // Invalid flags are reported before a store is created.
    let store = Store::at(&execution.store())?;
    let (sweep, options, note) = arguments.sweep(&store)?;
    if let Some(note) = note {
        to_stderr(&note);
    }
    warn_of_obstacles(&sweep, &store)?;
    let submit = execution.submit_options(to_slurm)?;
    if arguments.dry_run {
        return match submit {
            Some(submit) => {
                let submit = SubmitOptions { dry_run: true, ..submit };
                cluster::submit(&sweep, &store, &arguments.slurm, options, submit)
            }
            None => dry_run(&sweep, &store, execution, &local),
        };
    }
    let store = Store::open(&execution.store())?;
    let (sweep, options, _) = arguments.sweep(&store)?;
    if arguments.plan {
        sweep.save()?;
        return print(&format!("{}\n", sweep.id));
    }
    match submit {
        Some(submit) => cluster::submit(&sweep, &store, &arguments.slurm, options, submit),
        None => execute(&sweep, &store, execution, &local),
    }
}

/// Warns of what will keep runs from starting, which may be hours from now. Only a warning: the machines of a cluster
/// may see other files.
fn warn_of_obstacles(sweep: &Sweep, store: &Store) -> Result<()> {
    let (mut preflight, mut obstacles) = (Preflight::default(), BTreeMap::<String, usize>::new());
    for (run, result) in sweep.runs.iter().zip(run_result::run_results(sweep, store)?) {
        if result.state.status != Status::Done
            && let Err(why) = preflight.check(&run.config)
        {
            *obstacles.entry(why).or_default() += 1;
        }
    }
    for (why, n) in obstacles {
        to_stderr(&format!("warning: {n} of {} runs cannot start here: {why}", sweep.runs.len()));
    }
    Ok(())
}

fn retry(arguments: &RetryArgs) -> Result<()> {
    let execution = &arguments.execution;
    let local = Options { retry: true, ..execution.options()? };
    let submit = execution.submit_options(arguments.slurm.is_selected()?)?;
    let sweep = Sweep::find(&arguments.id, &Store::at(&execution.store())?)?;
    let store = Store::open(&execution.store())?;
    match submit {
        Some(submit) => {
            let submit = SubmitOptions { retry: true, ..submit };
            cluster::submit(&sweep, &store, &arguments.slurm, cluster::last_options(&sweep)?, submit)
        }
        None => execute(&sweep, &store, execution, &local),
    }
}

fn execute(sweep: &Sweep, store: &Store, execution: &ExecutionArgs, options: &Options) -> Result<()> {
    sweep.save()?;
    let (results, stopped) = execute_runs(sweep, store, execution, options)?;
    print(&if execution.json { document(sweep, store, &results, None)? } else { table(sweep, &results)? })?;
    let (failed, pending) = (count(&results, Status::Failed), count(&results, Status::Pending));
    if stopped && pending > 0 {
        return Err(Error::stopped(&format!("with {pending} of {} runs left", results.len())));
    }
    if failed > 0 {
        return Err(some_failed(sweep, store, &results));
    }
    if pending > 0 {
        return Err(Error::stopped(&format!(
            "by other processes with {pending} of {} runs left",
            results.len()
        )));
    }
    Ok(())
}

/// Executes the sweep; the final state of every run, and whether a signal asked to stop.
pub(super) fn execute_runs(
    sweep: &Sweep,
    store: &Store,
    execution: &ExecutionArgs,
    options: &Options,
) -> Result<(Vec<RunResult>, bool)> {
    let mut console = SweepConsole::new(sweep, execution.quiet, signals::stop_flag()?)?;
    let results = local::execute(sweep, store, options, &mut console)?;
    console.bar.finish_and_clear();
    Ok((results, console.stop_wanted()))
}

fn dry_run(sweep: &Sweep, store: &Store, execution: &ExecutionArgs, options: &Options) -> Result<()> {
    let results = run_result::run_results(sweep, store)?;
    let done = |result: &RunResult| result.state.status == Status::Done;
    let runs: Vec<(&Run, bool)> = sweep.runs.iter().zip(results.iter().map(done)).collect();
    let records: Vec<_> = records::all(store)?.found.into_iter().map(|(_, summary)| summary).collect();
    let mut contents = Contents::new(&sweep.directory, store);
    let estimate = estimate::estimate(&runs, &records, store, &mut contents)?;
    let left = runs.iter().filter(|(_, done)| !done).count();
    // With this policy a process keeps a fine-tuned and a retrained model at most.
    let at_a_time = 2 * options.jobs as u64 * estimate.largest;
    let bytes = if options.keep == Keep::Models { estimate.bytes } else { estimate.bytes.min(at_a_time) };
    if execution.json {
        let estimate = json!({
            "runs": left,
            "seconds": (estimate.without_time < left).then_some(estimate.seconds),
            "runs_without_time": estimate.without_time,
            "bytes": (estimate.without_size < left).then_some(bytes),
            "runs_without_size": estimate.without_size,
        });
        return print(&document(sweep, store, &results, Some(estimate))?);
    }
    let but =
        |n: usize| if n > 0 { format!(", not counting {n} runs without an estimate") } else { String::new() };
    let time = if estimate.without_time == left && left > 0 {
        "unknown: the store has no record of these tasks and this model yet".to_owned()
    } else {
        let of = duration(estimate.seconds);
        format!(
            "about {of} for one process, estimated from the records in the store{}",
            but(estimate.without_time)
        )
    };
    let disk = if estimate.without_size == left && left > 0 {
        "unknown: the model is not a folder, and the store has no record of it".to_owned()
    } else {
        format!("at most {:.1} MB of weights{}", bytes as f64 / 1e6, but(estimate.without_size))
    };
    let counts = format!("{} runs, {} already done, {left} to go", runs.len(), runs.len() - left);
    print(&format!("{}sweep {}: {counts}\ntime: {time}\ndisk: {disk}\n", table(sweep, &results)?, sweep.id))
}
