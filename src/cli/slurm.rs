//! `lottery sweep --executor slurm`, and what a sweep has in Slurm.

use super::{
    options::numbers,
    output::{counted, document, print, to_stderr},
};
use crate::{
    error::{Error, Result},
    store::Store,
    sweep::{
        Sweep, run_result,
        slurm::{self, Cancelled, Options, Plan, QueueCounts, Submission},
        state::Status,
    },
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

const HEADING: &str = "Slurm (with --executor slurm; or in FILE.toml under [slurm])";

/// Where runs are executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Executor {
    /// Processes on this machine
    #[default]
    Local,
    /// Workers in a Slurm job array; the command returns once they are submitted
    Slurm,
}

/// The flags that concern Slurm.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub struct SlurmArgs {
    /// Where to execute the runs
    #[arg(long, value_enum, default_value_t, help_heading = "Execution")]
    executor: Executor,

    /// Array elements; each executes one run after another [default: one per pending run]
    #[arg(long, value_name = "N", value_parser = numbers(1..))]
    workers: Option<u64>,

    #[arg(long, value_name = "NAME", help = "Partition")]
    partition: Option<String>,

    #[arg(long, value_name = "NAME", help = "Account to charge")]
    account: Option<String>,

    #[arg(long, value_name = "NAME", help = "Quality of service")]
    qos: Option<String>,

    /// Time limit of an element, as for sbatch; an element that reaches it is requeued and resumes
    #[arg(long, value_name = "LIMIT")]
    time: Option<String>,

    /// CPUs of an element, shared by its --jobs processes
    #[arg(long, value_name = "N", value_parser = numbers(1..))]
    cpus: Option<u64>,

    /// Memory of an element, such as 8G
    #[arg(long, value_name = "SIZE")]
    mem: Option<String>,

    /// Generic resources of an element, such as gpu:a100:1
    #[arg(long, value_name = "GRES")]
    gres: Option<String>,

    /// GPUs of an element, one for each of its processes
    #[arg(long, value_name = "N", value_parser = numbers(1..))]
    gpus_per_task: Option<u64>,

    /// Features that the node must have
    #[arg(long, value_name = "LIST")]
    constraint: Option<String>,

    /// Elements that run at the same time
    #[arg(long, value_name = "N", value_parser = numbers(1..))]
    throttle: Option<u64>,

    /// Seconds before the time limit at which a worker writes a checkpoint and stops [default: 120, at most a quarter of the limit]
    #[arg(long, value_name = "SECONDS", value_parser = numbers(1..=65535))]
    stop_before: Option<u64>,

    /// An additional argument for sbatch, such as --sbatch-arg=--mail-type=END; repeatable
    #[arg(long = "sbatch-arg", value_name = "ARG", allow_hyphen_values = true)]
    sbatch_args: Vec<String>,

    /// A line of the job script before the worker starts, such as 'module load cuda'; repeatable
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    setup: Vec<String>,

    /// Submit beside an earlier submission of this sweep that is still queued or running
    #[arg(long)]
    add_workers: bool,
}

impl SlurmArgs {
    /// Whether Slurm executes the runs.
    ///
    /// # Errors
    /// Usage: a flag for Slurm with another executor.
    pub fn is_selected(&self) -> Result<bool> {
        let flags = [
            ("--workers", self.workers.is_some()),
            ("--partition", self.partition.is_some()),
            ("--account", self.account.is_some()),
            ("--qos", self.qos.is_some()),
            ("--time", self.time.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--mem", self.mem.is_some()),
            ("--gres", self.gres.is_some()),
            ("--gpus-per-task", self.gpus_per_task.is_some()),
            ("--constraint", self.constraint.is_some()),
            ("--throttle", self.throttle.is_some()),
            ("--stop-before", self.stop_before.is_some()),
            ("--sbatch-arg", !self.sbatch_args.is_empty()),
            ("--setup", !self.setup.is_empty()),
            ("--add-workers", self.add_workers),
        ];
        match (self.executor, flags.iter().find(|(_, given)| *given)) {
            (Executor::Slurm, _) => Ok(true),
            (Executor::Local, None) => Ok(false),
            (Executor::Local, Some((flag, _))) => {
                Err(Error::usage(format!("{flag} needs --executor slurm. Add it, or drop {flag}.")))
            }
        }
    }

    fn options(&self) -> Options {
        let number = |number: Option<u64>| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Options {
            workers: number(self.workers),
            partition: self.partition.clone(),
            account: self.account.clone(),
            qos: self.qos.clone(),
            time: self.time.clone(),
            cpus: number(self.cpus),
            mem: self.mem.clone(),
            gres: self.gres.clone(),
            gpus_per_task: number(self.gpus_per_task),
            constraint: self.constraint.clone(),
            throttle: number(self.throttle),
            stop_before: self.stop_before,
            sbatch_args: self.sbatch_args.clone(),
            setup: self.setup.clone(),
        }
    }
}

/// How to submit, and what to print.
#[derive(Clone, Debug)]
pub struct SubmitOptions {
    /// Processes of each worker; by default one, or one for each of its GPUs.
    pub jobs: Option<usize>,
    /// Additional arguments for each worker.
    pub worker_args: Vec<String>,
    pub dry_run: bool,
    /// Repeat failed runs.
    pub retry: bool,
    pub json: bool,
    pub quiet: bool,
}

/// Submits workers for the pending runs and returns; `below` are the options in the sweep's file, which flags override.
pub fn submit(
    sweep: &Sweep,
    store: &Store,
    arguments: &SlurmArgs,
    below: Options,
    submit: SubmitOptions,
) -> Result<()> {
    let say = |line: &str| {
        if !submit.quiet {
            to_stderr(line);
        }
    };
    let submissions = slurm::all(&sweep.dir)?;
    let results = run_result::run_results(sweep, store)?;
    let of = |status| results.iter().filter(move |result| result.state.status == status);
    let failed = of(Status::Failed).count();
    let left = of(Status::Pending).count() + if submit.retry { failed } else { 0 };
    let options = arguments.options().over(below);
    let counts =
        format!("sweep {}: {}, {} done", sweep.id, counted(results.len(), "run"), of(Status::Done).count());
    if left == 0 {
        // Invalid flags are an error even so.
        options.check("")?;
        let retry = if failed > 0 { format!("; lottery sweep retry {}", sweep.id) } else { String::new() };
        say(&format!("{counts}, {failed} failed: nothing to submit{retry}"));
        return Ok(());
    }
    let unused = slurm::unused_options();
    if !unused.is_empty() {
        say(&format!(
            "ignored for this submission: {}. Give options as flags such as --partition, by --sbatch-arg, or under [slurm] in \
             the sweep's file",
            unused.join(", ")
        ));
    }
    let plan = Plan::new(sweep, store, options, submit.jobs, submit.worker_args, left)?;
    if submit.dry_run {
        let scripts = plan.scripts()?;
        say(&format!("{counts}, {left} to do: {}; nothing submitted", amount(&plan)));
        return print(&if submit.json {
            let arrays: Vec<Value> = std::iter::zip(&plan.arrays, &scripts)
                .map(|((elements, _), script)| json!({ "elements": elements, "script": script }))
                .collect();
            document(&json!({ "format_version": 1, "sweep": sweep.id, "runs": left, "arrays": arrays }))?
        } else {
            scripts.join("\n")
        });
    }
    if !arguments.add_workers {
        refuse_beside(sweep, &submissions, say)?;
    }
    if submit.retry {
        for result in of(Status::Failed) {
            let mut state = result.state.clone();
            state.status = Status::Pending;
            state.save(&sweep.dir)?;
        }
    }
    let submission = plan.submit()?;
    say(&format!("{counts}, {left} to do: {}", amount(&plan)));
    let at = quoted(store);
    say(&format!(
        "to follow it: lottery status --store {at}; to cancel it: lottery sweep cancel {} --store {at}",
        sweep.id
    ));
    print(&if submit.json {
        let arrays = json!(submission.arrays);
        document(&json!({ "format_version": 1, "sweep": sweep.id, "runs": left, "arrays": arrays }))?
    } else {
        let line = |array: &slurm::Array| {
            format!("submitted job {}: {}\n", array.job, counted(array.elements, "element"))
        };
        submission.arrays.iter().map(line).collect()
    })
}

/// `8 elements in 1 array`
fn amount(plan: &Plan) -> String {
    format!("{} in {}", counted(plan.elements(), "element"), counted(plan.arrays.len(), "array"))
}

/// Refuses to submit beside workers of an earlier submission, which execute the same runs.
fn refuse_beside(sweep: &Sweep, submissions: &[Submission], say: impl Fn(&str)) -> Result<()> {
    match slurm::queue_counts(submissions) {
        Ok(QueueCounts { queued: 0, running: 0 }) => Ok(()),
        Ok(QueueCounts { queued, running }) => Err(Error::usage(format!(
            "an earlier submission of sweep {} is still active, with {queued} elements queued and {running} running. They \
             execute all pending runs; --add-workers submits more workers beside them, lottery sweep cancel {} cancels \
             them.",
            sweep.id, sweep.id
        ))),
        Err(why) => {
            say(&format!("earlier submissions may still be queued: {why}"));
            Ok(())
        }
    }
}

/// Cancels what a sweep has in Slurm; `None` if it was never submitted, else what there was.
pub fn cancel(sweep: &Sweep) -> Result<Option<String>> {
    let submissions = slurm::all(&sweep.dir)?;
    if submissions.is_empty() {
        return Ok(None);
    }
    let lines: String = slurm::cancel(&submissions)?.iter().map(line).collect();
    Ok((!lines.is_empty()).then_some(lines))
}

/// Refuses to forget a sweep that has elements in Slurm.
pub fn refuse_active(sweep: &Sweep) -> Result<()> {
    match slurm::queue_counts(&slurm::all(&sweep.dir)?) {
        Ok(QueueCounts { queued, running }) if queued + running > 0 => Err(Error::usage(format!(
            "sweep {} has {queued} elements queued in Slurm and {running} running. Stop them first: lottery sweep cancel {}",
            sweep.id, sweep.id
        ))),
        _ => Ok(()),
    }
}

fn line(one: &Cancelled) -> String {
    let counts = match one.counts {
        Some(QueueCounts { queued, running }) => {
            format!("{} queued, {running} running", counted(queued, "element"))
        }
        None => format!("{} submitted", counted(one.array.elements, "element")),
    };
    match &one.failure {
        None => format!("cancelled job {}: {counts}\n", one.array.job),
        Some(why) => format!(
            "job {}: {counts}; {why}, so its elements end on their own: running ones within seconds, the others when \
             they start\n",
            one.array.job
        ),
    }
}

/// The options of the last submission, for a sweep whose file is not at hand.
pub fn last_options(sweep: &Sweep) -> Result<Options> {
    Ok(slurm::all(&sweep.dir)?.pop().map(|submission| submission.options).unwrap_or_default())
}

/// The store's folder, quoted for a shell.
fn quoted(store: &Store) -> String {
    let dir = store.dir().to_string_lossy();
    shlex::try_quote(&dir).map_or_else(|_| dir.to_string(), |word| word.into_owned())
}
