//! `lottery reproduce`: the runs of a published table, and their scores beside the published ones.

use super::{
    choice::{one_of, presets},
    options::{self, add_environment, numbers},
    output::{counted, document, print, show, to_stderr},
    report::texts,
    run_args::SettingsArgs,
    slurm::{self as cluster, SlurmArgs},
    status::warn_of,
    sweep::{ExecutionArgs, execute_runs, obstacles::obstacles, outcome, plan::Forecast},
    terminal,
};
use crate::{
    choice::Choice,
    config::ExperimentConfig,
    engine::Machine,
    error::{Error, Result},
    experiment::Preflight,
    ops::Format,
    report::{Published, Runs, Target, table},
    store::Store,
    sweep::{
        Grid, Sweep, records,
        run_result::{RunResult, run_results},
        slurm,
        state::Status,
    },
    task::TaskId,
};
use clap::Args;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const ABOUT: &str = "\
The runs of a published table, and their scores beside the published ones, with a verdict for each.

The runs are those of the ready sweeps in configs/sweeps that the table has scores of; what the store has already is not \
repeated, and running the same command resumes. Without the paper's model or with other settings the runs can be made, and \
their scores stand beside the published ones without a verdict.";

const EXAMPLES: &str = "\
Examples:
  What is missing of a table, and what it would cost:
    lottery reproduce prasanna2020/figure2 --data GLUE --dry-run
  Two tasks of it with two seeds:
    lottery reproduce prasanna2020/figure2 --tasks rte,mrpc --seeds 1337,42 --data GLUE
  With a small model, on a machine without a GPU:
    lottery reproduce chen2020/table2 --tasks mrpc --model models/MiniLM --preset small --data GLUE

Exit codes: 0 all done, 4 stopped by a signal (run the same command to resume), 5 some runs failed.";

/// The flags of `lottery reproduce`.
#[derive(Args, Debug)]
#[command(about = "A published table: its runs, and their scores beside the published ones")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct ReproduceArgs {
    /// The table
    #[arg(value_name = "TABLE", value_parser = one_of::<Target>())]
    table: String,

    /// Only these of its tasks [default: all]
    #[arg(long, alias = "task", value_name = "TASK,…", value_delimiter = ',', value_parser = one_of::<TaskId>())]
    tasks: Vec<String>,

    /// Seeds and ranges of them, such as 1-5, in the place of the paper's
    #[arg(long, alias = "seed", value_name = "N,…", value_delimiter = ',')]
    seeds: Vec<String>,

    /// A model in the place of the paper's: a folder, a name on the hub, or tiny
    #[arg(long, value_name = "DIR|OWNER/NAME|tiny")]
    model: Option<String>,

    /// The folder that holds GLUE's folders
    #[arg(long, value_name = "DIR")]
    data: Option<String>,

    /// A recipe in the place of the paper's
    #[arg(long, value_name = "NAME", value_parser = presets())]
    preset: Option<String>,

    /// A setting by its dotted key; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,

    /// The format of the matrix products
    #[arg(long, value_name = "DTYPE", value_parser = one_of::<Format>())]
    dtype: Option<String>,

    /// CPU threads of each process [default: a share of the cores]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..=1024))]
    threads: Option<u64>,

    /// Start nothing: what the store has, what is missing, and what that would cost
    #[arg(long, help_heading = "Output")]
    dry_run: bool,

    /// Start the runs that can start even if others cannot: without it a missing model or data set stops it before its first run
    #[arg(long, help_heading = "Execution")]
    keep_going: bool,

    #[command(flatten)]
    execution: ExecutionArgs,

    #[command(flatten)]
    slurm: SlurmArgs,
}

pub fn run(arguments: &ReproduceArgs) -> Result<()> {
    let target = Target::read(&arguments.table)?;
    let numbers = arguments.numbers(target)?;
    let (execution, local) = (&arguments.execution, arguments.execution.options()?);
    let submit = execution.submit_options(arguments.slurm.is_selected()?)?;
    let store = Store::at(&execution.store())?;
    let sweep = arguments.sweep(target, &numbers, &store)?;
    if arguments.dry_run {
        return arguments.tell(target, &numbers, &sweep, &store, &run_results(&sweep, &store)?);
    }
    let store = Store::open(&execution.store())?;
    let found = obstacles(&sweep, &store, Preflight::fetching())?;
    if let Some(submit) = submit {
        // The cluster's machines may see other files.
        found.warn();
        return cluster::submit(&sweep, &store, &arguments.slurm, slurm::Options::default(), submit);
    }
    if arguments.keep_going {
        found.warn();
    } else {
        found.refuse()?;
    }
    warn_of(&records::all(&store)?.ignored);
    sweep.save()?;
    let (results, stopped) = execute_runs(&sweep, &store, execution, &local)?;
    arguments.tell(target, &numbers, &sweep, &store, &results)?;
    outcome(&sweep, &store, execution, &results, stopped)
}

impl ReproduceArgs {
    /// The table's numbers of the tasks that are asked for.
    fn numbers(&self, target: Target) -> Result<Published> {
        let mut numbers = target.numbers()?;
        let known: BTreeSet<String> = numbers.cells.iter().map(|number| number.task.clone()).collect();
        let tasks = self.tasks.iter().map(|task| Ok(task.parse::<TaskId>()?.name().to_owned()));
        let tasks = tasks.collect::<Result<Vec<String>>>()?;
        if let Some(unknown) = tasks.iter().find(|task| !known.contains(*task)) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(Error::usage(format!(
                "--tasks: {target} has no scores of {unknown}. It has {}.",
                known.join(", ")
            )));
        }
        if !tasks.is_empty() {
            numbers.cells.retain(|number| tasks.contains(&number.task));
        }
        Ok(numbers)
    }

    /// The runs of the table's sweeps that it has numbers of.
    fn sweep(&self, target: Target, numbers: &Published, store: &Store) -> Result<Sweep> {
        let settings = SettingsArgs {
            model: self.model.clone(),
            data: self.data.clone(),
            preset: self.preset.clone(),
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            threads: self.threads,
            set: self.set.clone(),
            ..SettingsArgs::default()
        };
        let mut runs: Vec<ExperimentConfig> = Vec::new();
        for (name, text) in target.sweeps() {
            let origin = format!("configs/sweeps/{name}");
            let (mut grid, table) = Grid::parse(text, &origin)?;
            if !self.seeds.is_empty() {
                grid.axis("seed", &self.seeds, "--seeds")?;
            }
            let base = settings.layers(Some((&table, &origin)))?;
            runs.extend(grid.runs(&base, |layers| add_environment(layers, options::variable).map(drop))?);
        }
        runs.retain(|run| numbers.cells.iter().any(|number| number.needs(run)));
        let settled = runs.iter_mut().filter_map(|run| Machine::settle(run.run.device, &mut run.run.dtype));
        if let Some(note) = settled.last() {
            to_stderr(&note);
        }
        Sweep::new(&format!("reproduce-{target}"), runs, store)
    }

    /// Our scores beside the published ones, then what is missing.
    fn tell(
        &self,
        target: Target,
        numbers: &Published,
        sweep: &Sweep,
        store: &Store,
        results: &[RunResult],
    ) -> Result<()> {
        let records: BTreeSet<&Path> =
            results.iter().filter_map(|result| result.state.record.as_deref()).collect();
        let runs = if records.is_empty() { Runs::default() } else { Runs::among(store, &records)? };
        let altered = self.altered();
        let mut table = target.reproduced(numbers, &runs, altered.is_some());
        table.notes.extend(altered);
        let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
        for (run, _) in
            sweep.runs.iter().zip(results).filter(|(_, result)| result.state.status != Status::Done)
        {
            *missing.entry(run.config.task.name()).or_default() += 1;
        }
        let left: usize = missing.values().sum();
        let options = self.execution.options()?;
        let keep = (options.keep, options.jobs);
        let forecast = (left > 0).then(|| Forecast::new(sweep, store, results, keep, false)).transpose()?;
        if self.execution.json {
            let all = json!({
                "format_version": 1,
                "table": target.name(),
                "sweep": sweep.id,
                "published": table::json(&table),
                "notes": table.notes,
                "missing": missing,
                "cost": forecast.as_ref().map(Forecast::json),
            });
            return print(&document(&all)?);
        }
        let mut text = texts(&[table], terminal::width());
        text += &match &forecast {
            Some(Forecast { time, disk, .. }) => {
                let tasks: Vec<String> = missing.iter().map(|(task, n)| format!("{task} {n}")).collect();
                format!(
                    "missing: {} of {} ({})\ntime: {time}\ndisk: {disk}\n",
                    left,
                    counted(sweep.runs.len(), "run"),
                    tasks.join(", ")
                )
            }
            None => format!("all {} are done\n", counted(sweep.runs.len(), "run")),
        };
        show(&text)
    }

    /// What the runs have that the published ones had not.
    fn altered(&self) -> Option<String> {
        let preset = self.preset.iter().map(|preset| format!("preset={preset}"));
        // Where and how fast runs are computed is theirs alone.
        let set = self.set.iter().filter(|set| !set.starts_with("run.") || set.starts_with("run.dtype"));
        let all: Vec<String> = preset.chain(set.cloned()).collect();
        (!all.is_empty()).then(|| format!("Settings other than the table's: {}.", all.join(", ")))
    }
}
