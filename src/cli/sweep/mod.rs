//! `lottery sweep`: many runs, each in a process of its own.

mod commas;
mod console;
mod execution;
pub(super) mod obstacles;
mod outcome;
pub(super) mod plan;
pub(super) mod show;
mod stop;

pub use execution::ExecutionArgs;
pub use outcome::outcome;
pub use show::{count, document, duration, short_label, some_failed};

use super::{
    choice::{one_of, one_of_or, presets},
    matching::{lines, matching},
    options::{self, add_environment, numbers},
    output::{print, show as show_text, to_stderr},
    run_args::SettingsArgs,
    signals,
    slurm::{self as cluster, SlurmArgs, SubmitOptions},
    status::warn_of,
    terminal,
};
use crate::{
    engine::Machine,
    error::{Error, Result, excerpt},
    experiment::Preflight,
    ops::Format,
    prune::{Method, Mode},
    store::Store,
    sweep::{
        Grid, Options, Sweep, grid,
        local::{self, Observer},
        records,
        run_result::RunResult,
        slurm,
    },
    task::TaskId,
};
use clap::{Args, Subcommand};
use console::SweepConsole;
use obstacles::obstacles;
use serde_json::json;
use show::table;
use std::path::PathBuf;
use stop::{CancelArgs, ForgetArgs};

const ABOUT: &str = "\
Many runs: every combination of the given tasks, modes, methods, models, seeds and settings.

Each run is a process of its own, with a log in the store. Runs that share a fine-tuned model or a search start once that \
is computed. If a run fails, the others continue.

Runs whose record is in the store are done and are not repeated: running the same command resumes a sweep that was \
stopped or killed. `lottery sweep retry` retries failed runs.";

const EXAMPLES: &str = "\
Examples:
  The demo task with three seeds and three modes, two processes at a time:
    lottery sweep --tasks demo --modes good,random,bad --seeds 1337,42,86 --jobs 2

  All of GLUE with the paper's seeds, under a name of its own:
    lottery sweep --tasks glue --modes good,random,bad --seeds paper --name mine --dry-run

  Sparsity levels: a comma-separated list in --set adds an axis to the grid
    lottery sweep --tasks rte,mrpc --model MODEL --data GLUE --set search.threshold=0.95,0.9,0.8

  From a file; only say what is done and what the rest will take:
    lottery sweep configs/sweeps/prasanna2020.toml --data GLUE --dry-run

  A thousand runs whose weights would not fit on the disk:
    lottery sweep study.toml --jobs 4 --keep tickets

  Retry failed runs:
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

    /// Tasks, or TOML files of your own; glue stands for GLUE's nine
    #[arg(long, alias = "task", value_delimiter = ',', value_name = "TASK,…", value_parser = one_of_or::<TaskId>(&[("glue", "the nine tasks of GLUE")]), help_heading = "Grid")]
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

    /// Seeds and ranges of them, such as 1-5; paper stands for the paper's: 1337,42,86,71,166
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

    /// Tasks whose subnetworks are trained together with each run's, on one encoder, as of run --with
    #[arg(long = "with", value_delimiter = ',', value_name = "TASK,…", value_parser = one_of::<TaskId>(), help_heading = "Grid")]
    with: Vec<String>,

    /// The first part of the sweep's name [default: the file's name, else grid]
    #[arg(long, value_name = "NAME", help_heading = "Grid")]
    name: Option<String>,

    /// A setting by its dotted key; a comma-separated list adds an axis to the grid; repeatable
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Grid")]
    set: Vec<String>,

    /// The folder that holds GLUE's folders
    #[arg(long, value_name = "DIR", help_heading = "Settings of all runs")]
    data: Option<String>,

    /// Of mlm: the text whose hidden words are found, as of run --text
    #[arg(long, value_name = "FILE|demo", help_heading = "Settings of all runs")]
    text: Option<String>,

    /// The recipe
    #[arg(long, value_name = "NAME", value_parser = presets(), help_heading = "Settings of all runs")]
    preset: Option<String>,

    /// A TOML file of settings, or a record; overrides the preset, and FILE.toml overrides it
    #[arg(long, value_name = "FILE", help_heading = "Settings of all runs")]
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

    /// Print what the sweep consists of, what is done and what the rest will take, without starting anything; with --executor slurm, print the job script
    #[arg(long, help_heading = "Output")]
    dry_run: bool,

    /// With --dry-run: also list every run
    #[arg(long, requires = "dry_run", help_heading = "Output")]
    list: bool,

    /// With --dry-run: time a few real training steps of each model, for an estimate without records
    #[arg(long, requires = "dry_run", help_heading = "Output")]
    measure: bool,

    /// Start the runs that can start even if others cannot: without it a missing model or data set stops the sweep before its first run
    #[arg(long, help_heading = "Execution")]
    keep_going: bool,

    /// Save the sweep for `lottery worker` and print its name, without starting anything
    #[arg(long, conflicts_with_all = ["dry_run", "executor"], help_heading = "Output")]
    plan: bool,
}

#[derive(Debug, Subcommand)]
enum SweepVerb {
    /// Retry a sweep's failed runs and finish the pending ones
    Retry(Box<RetryArgs>),
    Cancel(CancelArgs),
    Forget(ForgetArgs),
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
        let shared = SettingsArgs {
            data: self.data.clone(),
            text: self.text.clone(),
            preset: self.preset.clone(),
            config: self.config.clone(),
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            threads: self.threads,
            with: self.with.clone(),
            set: single.into_iter().cloned().collect(),
            ..SettingsArgs::default()
        };
        let base = shared.layers(Some((&table, &origin)))?;
        let mut runs = grid.runs(&base, |layers| add_environment(layers, options::variable).map(drop))?;
        let settled = runs.iter_mut().map(|config| Machine::settle(config.run.device, &mut config.run.dtype));
        let note = settled.fold(None, |first, next| first.or(next));
        let stem = self
            .file
            .as_ref()
            .and_then(|path| path.file_stem())
            .map(|stem| stem.to_string_lossy().into_owned());
        let name = self.name.clone().or(stem).unwrap_or_else(|| "grid".to_owned());
        Ok((Sweep::new(&name, runs, store)?, slurm, note))
    }
}

pub fn run(arguments: &SweepArgs) -> Result<()> {
    match &arguments.verb {
        Some(SweepVerb::Retry(arguments)) => return retry(arguments),
        Some(SweepVerb::Cancel(arguments)) => return stop::cancel(arguments),
        Some(SweepVerb::Forget(arguments)) => return stop::forget(arguments),
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
    let submit = execution.submit_options(to_slurm)?;
    if arguments.dry_run {
        obstacles(&sweep, &store, Preflight::default())?.warn();
        return match submit {
            Some(submit) => {
                let submit = SubmitOptions { dry_run: true, ..submit };
                cluster::submit(&sweep, &store, &arguments.slurm, options, submit)
            }
            None => plan::dry_run(&sweep, &store, execution, &local, arguments.list, arguments.measure),
        };
    }
    let store = Store::open(&execution.store())?;
    let (sweep, options, _) = arguments.sweep(&store)?;
    if arguments.plan {
        obstacles(&sweep, &store, Preflight::default())?.warn();
        sweep.save()?;
        return print(&format!("{}\n", sweep.id));
    }
    match submit {
        Some(submit) => {
            // The cluster's machines may see other files.
            obstacles(&sweep, &store, Preflight::default())?.warn();
            cluster::submit(&sweep, &store, &arguments.slurm, options, submit)
        }
        None => {
            let found = obstacles(&sweep, &store, Preflight::fetching())?;
            if arguments.keep_going {
                found.warn()
            } else {
                found.refuse()?
            }
            // A run whose record cannot be read is repeated, which is to be known.
            warn_of(&records::all(&store)?.ignored);
            execute(&sweep, &store, execution, &local)
        }
    }
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
    let records =
        results.iter().filter_map(|run| Some((run.state.record.as_deref()?, run.summary.as_ref()?)));
    let found = matching(store, records)?;
    match execution.json {
        true => print(&document(sweep, store, &results, &[("matching", json!(found))])?),
        false => show_text(&(table(sweep, &results, terminal::width())? + &lines(&found))),
    }?;
    outcome(sweep, store, execution, &results, stopped)
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
    Ok((results, console.stop_wanted()))
}
