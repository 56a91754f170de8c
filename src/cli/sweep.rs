//! `lottery sweep`: many runs, each in a process of its own.

use super::{
    args::{self, RunArgs},
    run::print,
    signals,
    slurm::{self as cluster, CancelArgs, Manner, SlurmArgs},
    talk::to_stderr,
};
use crate::{
    error::{Error, Result},
    store::{Keep, Store},
    sweep::{
        Grid, Run, Sweep, estimate, grid,
        local::{self, Counts, Fate, Options, Watcher},
        records, slurm,
        state::Status,
    },
};
use clap::{Args, Subcommand, value_parser};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::{
    io::IsTerminal,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const ABOUT: &str = "\
Many runs: every combination of the given tasks, modes, methods, models, seeds and settings.

Each run is a process of its own, and what it says goes to a log below the store. Runs that share a fine-tuned model \
or a search begin when that is there. A run that fails is noted and the others go on.

Runs whose record is in the store are done and are not begun again: the same command goes on with a sweep that was \
stopped or killed. Failed runs are begun again by `lottery sweep retry`.";

const EXAMPLES: &str = "\
Examples:
  The demo task with three seeds and three modes, two processes at a time:
    lottery sweep --tasks demo --modes good,bad,random --seeds 1337,42,86 --jobs 2

  Sparsity levels: a comma list behind --set is a part of the grid
    lottery sweep --tasks rte,mrpc --model MODEL --data GLUE --set search.threshold=0.95,0.9,0.8

  From a file; only the list, what is done, and what the rest will take:
    lottery sweep configs/sweeps/prasanna2020.toml --data GLUE --dry-run

  A thousand runs whose weights would not fit on the disk:
    lottery sweep study.toml --jobs 4 --keep tickets

  Failed runs once more:
    lottery sweep retry

  On a Slurm cluster, by 20 workers with a GPU each, 8 at a time:
    lottery sweep configs/sweeps/prasanna2020.toml --data GLUE --executor slurm \\
        --workers 20 --throttle 8 --time 4:00:00 --gpus-per-task 1

Exit codes: 0 all done, 4 stopped by a signal (the same command goes on), 5 some runs failed.";

/// `lottery sweep`, as typed.
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

    /// A TOML file: settings that all runs share, [grid] with lists of values, [[include]] and [[exclude]] entries
    #[arg(value_name = "FILE.toml")]
    file: Option<PathBuf>,

    /// Tasks, as --task of `lottery run` names them
    #[arg(long, alias = "task", value_delimiter = ',', value_name = "TASK,…", help_heading = "Grid")]
    tasks: Vec<String>,

    /// Subnetworks: good, bad, random, inverse, full
    #[arg(long, alias = "mode", value_delimiter = ',', value_name = "MODE,…", help_heading = "Grid")]
    modes: Vec<String>,

    /// What the search may prune: heads+ffns, heads, ffns
    #[arg(long, alias = "method", value_delimiter = ',', value_name = "METHOD,…", help_heading = "Grid")]
    methods: Vec<String>,

    /// Model folders, names on the hub, or tiny
    #[arg(long, alias = "model", value_delimiter = ',', value_name = "MODEL,…", help_heading = "Grid")]
    models: Vec<String>,

    /// Seeds; the paper's are 1337,42,86,71,166
    #[arg(long, alias = "seed", value_delimiter = ',', value_name = "N,…", help_heading = "Grid")]
    seeds: Vec<String>,

    /// One setting by its dotted key; a comma list is a part of the grid; repeatable
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Grid")]
    set: Vec<String>,

    /// The folder that holds GLUE's folders
    #[arg(long, value_name = "DIR", help_heading = "Settings of all runs")]
    data: Option<String>,

    /// The recipe: prasanna2020, prasanna2020-code, small or tiny
    #[arg(long, value_name = "NAME", help_heading = "Settings of all runs")]
    preset: Option<String>,

    /// A TOML file of settings, over the preset and below FILE.toml
    #[arg(long, value_name = "FILE.toml", help_heading = "Settings of all runs")]
    config: Option<PathBuf>,

    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", help_heading = "Settings of all runs")]
    device: Option<String>,

    /// The format of the matrix products: f32 or bf16
    #[arg(long, value_name = "DTYPE", help_heading = "Settings of all runs")]
    dtype: Option<String>,

    /// CPU threads of each process [default: the cores divided by --jobs]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1024), help_heading = "Settings of all runs")]
    threads: Option<u64>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    slurm: SlurmArgs,

    /// List the runs, what is done already, and what the rest will take; with --executor slurm print the script; begin nothing
    #[arg(long, help_heading = "Output")]
    dry_run: bool,

    /// Write the sweep down for `lottery worker`, print its name, begin nothing
    #[arg(long, conflicts_with = "dry_run", help_heading = "Output")]
    plan: bool,
}

#[derive(Debug, Subcommand)]
enum SweepVerb {
    /// Failed runs of a sweep once more, and what is still pending
    Retry(Box<RetryArgs>),
    Cancel(CancelArgs),
}

#[derive(Args, Debug)]
struct RetryArgs {
    /// The beginning of the sweep's name, as `lottery status` shows it; not needed where the store has one sweep
    #[arg(value_name = "SWEEP", default_value = "", hide_default_value = true)]
    id: String,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    slurm: SlurmArgs,
}

/// How a sweep is carried out, whatever its runs are.
#[derive(Args, Debug)]
pub(super) struct How {
    /// Processes at a time [default: one, or one for each of --gpus]
    #[arg(long, short, value_name = "N", value_parser = value_parser!(u64).range(1..=1024), help_heading = "Execution")]
    jobs: Option<u64>,

    /// The GPUs to share out, one for each process in turn, as CUDA_VISIBLE_DEVICES names them
    #[arg(long, value_delimiter = ',', value_name = "N,…", help_heading = "Execution")]
    gpus: Vec<String>,

    /// Stop at the first failure
    #[arg(long, conflicts_with = "max_failures", help_heading = "Execution")]
    fail_fast: bool,

    /// Stop after this many failures
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), help_heading = "Execution")]
    max_failures: Option<u64>,

    /// What stays of ended runs: models (everything), tickets (no weights) or none (no predictions either) [default: models]
    ///
    /// A fine-tuned model goes when no pending run of the sweep needs it. Records, tickets and metrics always stay.
    #[arg(long, value_name = "POLICY", help_heading = "Execution")]
    keep: Option<String>,

    /// Where finished stages and records are kept [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR", help_heading = "Execution")]
    store: Option<PathBuf>,

    /// Scalars for TensorBoard into a folder for each run below DIR
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    tensorboard: Option<PathBuf>,

    /// Print all runs with status, paths and scores as one JSON document on stdout
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,

    /// No progress and no talk; errors are still told
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

impl How {
    pub(super) fn store(&self) -> PathBuf {
        args::store_folder(self.store.as_deref())
    }

    /// For Slurm, when that is wanted. Usage errors: what means something to processes of this machine alone.
    fn manner(&self, to_slurm: bool) -> Result<Option<Manner>> {
        let here = [
            ("--fail-fast", self.fail_fast),
            ("--max-failures", self.max_failures.is_some()),
            ("--gpus", !self.gpus.is_empty()),
        ];
        match here.iter().find(|(_, given)| *given) {
            Some((flag, _)) if to_slurm => Err(Error::usage(format!(
                "{flag} is for processes of this machine. Take it out; Slurm hands out GPUs by --gpus-per-task or \
                 --gres, and lottery sweep cancel ends what it runs."
            ))),
            _ if !to_slurm => Ok(None),
            _ => Ok(Some(Manner {
                jobs: self.jobs.map(|jobs| jobs as usize),
                more: self.for_workers()?,
                dry_run: false,
                retry: false,
                json: self.json,
                quiet: self.quiet,
            })),
        }
    }

    /// What workers elsewhere are told too.
    fn for_workers(&self) -> Result<Vec<String>> {
        let Options { keep, tensorboard, .. } = self.options()?;
        let mut words = Vec::new();
        if keep != Keep::default() {
            words.extend(["--keep".to_owned(), keep.to_string()]);
        }
        if let Some(dir) = tensorboard {
            words.extend(["--tensorboard".to_owned(), dir.to_string_lossy().into_owned()]);
        }
        Ok(words)
    }

    pub(super) fn options(&self) -> Result<Options> {
        if let Some(wrong) = self.gpus.iter().find(|gpu| gpu.trim().is_empty()) {
            return Err(Error::usage(format!("{wrong:?} (--gpus) names no GPU. Write --gpus 0,1.")));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or(self.gpus.len().max(1), |jobs| jobs as usize);
        let most = self.max_failures.map(|most| most as usize);
        let absolute = |dir: &PathBuf| std::path::absolute(dir).map_err(|e| Error::io(dir, "find", &e));
        Ok(Options {
            jobs,
            threads: (cores / jobs).max(1),
            max_failures: if self.fail_fast { Some(1) } else { most },
            retry: false,
            wait_for_others: true,
            until: None,
            gpus: self.gpus.clone(),
            tensorboard: self.tensorboard.as_ref().map(absolute).transpose()?,
            keep: args::keep(self.keep.as_deref())?,
        })
    }
}

impl SweepArgs {
    /// The sweep that was typed, and what its file asks Slurm for.
    fn sweep(&self, store: &Store) -> Result<(Sweep, slurm::Options)> {
        let (mut grid, mut table) = match &self.file {
            Some(path) => Grid::read(path)?,
            None => Default::default(),
        };
        let origin = self.file.as_ref().map(|path| format!("file {}", path.display())).unwrap_or_default();
        let slurm = match table.remove("slurm") {
            Some(toml::Value::Table(table)) => slurm::Options::of_table(&table, &origin)?,
            Some(_) => {
                return Err(Error::usage(format!(
                    "slurm ({origin}) is no table. Write [slurm], and below it lines such as partition = \"gpu\"."
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
        ] {
            if !words.is_empty() {
                grid.axis(key, words, flag)?;
            }
        }
        let (lists, single): (Vec<&String>, Vec<&String>) = self
            .set
            .iter()
            .partition(|set| set.split_once('=').is_some_and(|(_, list)| grid::words(list).len() > 1));
        for set in lists {
            if let Some((key, list)) = set.split_once('=') {
                grid.axis(key.trim(), &grid::words(list), &format!("--set {set}"))?;
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
        let runs =
            grid.runs(&base, |layers| args::below(layers, |name| std::env::var(name).ok()).map(drop))?;
        let stem = self.file.as_ref().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy());
        Ok((Sweep::new(stem.as_deref().unwrap_or("grid"), runs, store)?, slurm))
    }
}

pub fn run(arguments: &SweepArgs) -> Result<()> {
    match &arguments.verb {
        Some(SweepVerb::Retry(again)) => return retry(again),
        Some(SweepVerb::Cancel(which)) => return cluster::cancel(which),
        None => {}
    }
    let how = &arguments.how;
    let local = how.options()?;
    let to_slurm = arguments.slurm.wanted()?;
    // What was typed is held to account before a store is created.
    let store = Store::at(&how.store())?;
    let (sweep, options) = arguments.sweep(&store)?;
    let manner = how.manner(to_slurm)?;
    if arguments.dry_run {
        return match manner {
            Some(manner) => {
                let manner = Manner { dry_run: true, ..manner };
                cluster::submit(&sweep, &store, &arguments.slurm, options, manner)
            }
            None => dry_run(&sweep, &store, how, &local),
        };
    }
    let store = Store::open(&how.store())?;
    let (sweep, options) = arguments.sweep(&store)?;
    if arguments.plan {
        sweep.save()?;
        return print(&format!("{}\n", sweep.id));
    }
    match manner {
        Some(manner) => cluster::submit(&sweep, &store, &arguments.slurm, options, manner),
        None => execute(&sweep, &store, how, &local),
    }
}

fn retry(arguments: &RetryArgs) -> Result<()> {
    let how = &arguments.how;
    let local = Options { retry: true, ..how.options()? };
    let manner = how.manner(arguments.slurm.wanted()?)?;
    let sweep = Sweep::find(&arguments.id, &Store::at(&how.store())?)?;
    let store = Store::open(&how.store())?;
    match manner {
        Some(manner) => {
            let manner = Manner { retry: true, ..manner };
            cluster::submit(&sweep, &store, &arguments.slurm, cluster::last_options(&sweep)?, manner)
        }
        None => execute(&sweep, &store, how, &local),
    }
}

fn execute(sweep: &Sweep, store: &Store, how: &How, options: &Options) -> Result<()> {
    sweep.save()?;
    let (fates, stopped) = carry_out(sweep, store, how, options)?;
    print(&if how.json { document(sweep, store, &fates, None)? } else { table(sweep, &fates)? })?;
    let (failed, pending) = (count(&fates, Status::Failed), count(&fates, Status::Pending));
    if stopped && pending > 0 {
        return Err(Error::stopped(&format!("with {pending} of {} runs to go", fates.len())));
    }
    if failed > 0 {
        return Err(some_failed(sweep, store, &fates));
    }
    if pending > 0 {
        return Err(Error::stopped(&format!("by others with {pending} of {} runs to go", fates.len())));
    }
    Ok(())
}

/// How every run stands in the end, and whether a signal asked to stop.
pub(super) fn carry_out(
    sweep: &Sweep,
    store: &Store,
    how: &How,
    options: &Options,
) -> Result<(Vec<Fate>, bool)> {
    let mut talk = SweepTalk::new(sweep, how.quiet, signals::stop_flag()?)?;
    let fates = local::execute(sweep, store, options, &mut talk)?;
    talk.bar.finish_and_clear();
    Ok((fates, talk.stop_wanted()))
}

pub(super) fn count(fates: &[Fate], status: Status) -> usize {
    fates.iter().filter(|fate| fate.state.status == status).count()
}

pub(super) fn some_failed(sweep: &Sweep, store: &Store, fates: &[Fate]) -> Error {
    let pending = count(fates, Status::Pending);
    let rest = if pending > 0 { format!(" and {pending} were not finished") } else { String::new() };
    Error::SomeFailed(format!(
        "{} of {} runs failed{rest}; their logs are in {}. Mend the cause, then: lottery sweep retry {} --store {}",
        count(fates, Status::Failed),
        fates.len(),
        sweep.dir.join("logs").display(),
        sweep.id,
        quoted(&store.dir().to_string_lossy())
    ))
}

fn dry_run(sweep: &Sweep, store: &Store, how: &How, options: &Options) -> Result<()> {
    let fates = local::standing(sweep, store)?;
    let done = |fate: &Fate| fate.state.status == Status::Done;
    let runs: Vec<(&Run, bool)> = sweep.runs.iter().zip(fates.iter().map(done)).collect();
    let records: Vec<_> = records::all(store)?.into_iter().map(|(_, summary)| summary).collect();
    let estimate = estimate::estimate(&runs, &records, store)?;
    let left = runs.iter().filter(|(_, done)| !done).count();
    // A process has a fine-tuned and a retrained model; more do not stay.
    let at_a_time = 2 * options.jobs as u64 * estimate.largest;
    let bytes = if options.keep == Keep::Models { estimate.bytes } else { estimate.bytes.min(at_a_time) };
    if how.json {
        let estimate = json!({
            "runs": left,
            "seconds": (estimate.without_time < left).then_some(estimate.seconds),
            "runs_without_time": estimate.without_time,
            "bytes": (estimate.without_size < left).then_some(bytes),
            "runs_without_size": estimate.without_size,
        });
        return print(&document(sweep, store, &fates, Some(estimate))?);
    }
    let but =
        |n: usize| if n > 0 { format!(", without {n} runs that nothing is known of") } else { String::new() };
    let time = if estimate.without_time == left && left > 0 {
        "unknown: no record of these tasks and this model in the store yet".to_owned()
    } else {
        let of = duration(estimate.seconds);
        format!("about {of} of one process, by the records in the store{}", but(estimate.without_time))
    };
    let disk = if estimate.without_size == left && left > 0 {
        "unknown: the model is no folder, and no record in the store is of it".to_owned()
    } else {
        format!("at most {:.1} MB of weights{}", bytes as f64 / 1e6, but(estimate.without_size))
    };
    let counts = format!("{} runs, {} done already, {left} to go", runs.len(), runs.len() - left);
    print(&format!("{}sweep {}: {counts}\ntime: {time}\ndisk: {disk}\n", table(sweep, &fates)?, sweep.id))
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |word| word.into_owned())
}

/// Hours and minutes, or minutes and seconds.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn table(sweep: &Sweep, fates: &[Fate]) -> Result<String> {
    let varying = sweep.varying()?;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let names = ["task", "mode", "seed"].into_iter().chain(varying.iter().map(String::as_str));
    let scores = ["status", "metric", "full", "pruned", "retrained"];
    table.set_header(names.clone().chain(scores));
    let mut failures = String::new();
    for (run, fate) in sweep.runs.iter().zip(fates) {
        let settings = run.config.settings()?;
        let value = |key: &str| settings.get(key).map(plain).unwrap_or_default();
        let mut row: Vec<String> = names.clone().map(value).collect();
        row.push(fate.state.status.to_string());
        match &fate.summary {
            Some(summary) => {
                row.push(summary.metric.clone());
                row.extend(summary.scores().map(|score| format!("{score:.4}")));
            }
            None => row.extend(std::iter::repeat_n(String::new(), 4)),
        }
        table.add_row(row);
        if let (Status::Failed, Some(error)) = (fate.state.status, &fate.state.error) {
            failures += &format!("failed: {}: {error}\n", label(run, &varying)?);
        }
    }
    let numbers = names.count() + 2;
    table.column_iter_mut().skip(numbers).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    Ok(format!("{table}\n{failures}"))
}

pub(super) fn document(
    sweep: &Sweep,
    store: &Store,
    fates: &[Fate],
    estimate: Option<Value>,
) -> Result<String> {
    let runs = sweep.runs.iter().zip(fates).map(|(run, fate)| {
        let mut value = serde_json::to_value(&fate.state).unwrap_or_default();
        value["log"] = json!(sweep.log(run));
        value["config"] = json!(run.config);
        let scores = fate.summary.as_ref().map(|summary| {
            let [full, pruned, retrained] = summary.scores();
            json!({ "metric": summary.metric, "full": full, "pruned": pruned, "retrained": retrained })
        });
        value["scores"] = json!(scores);
        value
    });
    let mut value = json!({
        "format_version": 1,
        "sweep": sweep.id,
        "store": store.dir(),
        "runs": runs.collect::<Vec<_>>(),
    });
    if let Some(estimate) = estimate {
        value["estimate"] = estimate;
    }
    let text = serde_json::to_string_pretty(&value).map_err(|e| Error::internal(e.to_string()))?;
    Ok(format!("{text}\n"))
}

/// A run as people call it.
fn label(run: &Run, varying: &[String]) -> Result<String> {
    let config = &run.config;
    let mut label = format!("{} {} seed {}", config.task, config.mode, config.seed);
    let settings = config.settings()?;
    for key in varying {
        let value = settings.get(key).map_or_else(|| "none".to_owned(), plain);
        label += &format!(" {key}={value}");
    }
    Ok(label)
}

/// A text without its quotes.
fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A bar on a terminal, a line for each ended run elsewhere.
struct SweepTalk {
    quiet: bool,
    stop: Arc<AtomicBool>,
    bar: ProgressBar,
    varying: Vec<String>,
    id: String,
}

impl SweepTalk {
    fn new(sweep: &Sweep, quiet: bool, stop: Arc<AtomicBool>) -> Result<Self> {
        let mut bar = ProgressBar::hidden();
        if !quiet && std::io::stderr().is_terminal() {
            let target = ProgressDrawTarget::stderr_with_hz(8);
            bar = ProgressBar::with_draw_target(Some(sweep.runs.len() as u64), target);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        Ok(Self { quiet, stop, bar, varying: sweep.varying()?, id: sweep.id.clone() })
    }
}

impl Watcher for SweepTalk {
    fn begins(&mut self, counts: Counts) {
        let Counts { done, failed, total, .. } = counts;
        if !self.quiet {
            to_stderr(&format!("sweep {}: {total} runs, {done} done, {failed} failed earlier", self.id));
        }
        // What was there took no time, and says nothing about the rest.
        self.bar.set_position((done + failed) as u64);
        self.bar.reset_eta();
    }

    fn tick(&mut self, counts: Counts) {
        let Counts { done, failed, running, .. } = counts;
        self.bar.set_position((done + failed) as u64);
        // Nothing is known before the first run has ended.
        let eta = Some(self.bar.eta().as_secs_f64()).filter(|eta| *eta > 0.0);
        let eta = eta.map(|eta| format!(", ETA {}", duration(eta))).unwrap_or_default();
        self.bar.set_message(format!("{done} done, {failed} failed, {running} running{eta}"));
    }

    fn ended(&mut self, sweep: &Sweep, run: &Run, fate: &Fate, counts: Counts) {
        if self.quiet {
            return;
        }
        let state = &fate.state;
        let what = match (&fate.summary, &state.error) {
            (Some(summary), _) => {
                let [full, pruned, retrained] = summary.scores();
                format!("{} {full:.4}, pruned {pruned:.4}, retrained {retrained:.4}", summary.metric)
            }
            (None, Some(error)) => format!("FAILED: {error} ({})", sweep.log(run).display()),
            (None, None) => "stopped".to_owned(),
        };
        let after = state.seconds.map(|s| format!(" in {s:.1} s")).unwrap_or_default();
        let label = label(run, &self.varying).unwrap_or_else(|_| run.name.clone());
        let line = format!("[{}/{}] {label}: {what}{after}", counts.done + counts.failed, counts.total);
        let failed = state.status == Status::Failed;
        if self.bar.is_hidden() || failed {
            self.bar.suspend(|| to_stderr(&line));
        }
    }

    fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
