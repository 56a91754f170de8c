//! A sweep on a Slurm cluster: job arrays whose elements are workers.
//!
//! ```text
//! <sweep>/slurm/<n>/submission.json     the submission: job ids, elements, options
//! <sweep>/slurm/<n>/array-<m>.sh        the script of an array
//! <sweep>/slurm/<n>/logs/<job>_<m>.log  the output of an element
//! <sweep>/slurm/<n>/cancelled           present once it was cancelled
//! ```
//!
//! The state of the runs is in the sweep's own files. Slurm is only asked for what is still queued, and nothing depends
//! on the answer.

mod command;
mod duration;
mod options;
mod queue;
mod script;
mod submission;

pub use command::unused_options;
pub use options::Options;
pub use queue::{Queue, QueueCounts};
pub use submission::{Array, Submission, all};

use super::Sweep;
use crate::{
    error::{Error, Result},
    store::{Store, atomic_write},
};
use command::{Failure, call};
use script::Script;
use std::{path::PathBuf, time::Duration};

/// Slurm's default, used if it cannot be asked.
const MAX_ARRAY_SIZE: usize = 1001;
/// The timeout of commands that change something. Slurm's own timeouts are shorter.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A submission before it is made.
#[derive(Debug)]
pub struct Plan<'a> {
    pub sweep: &'a Sweep,
    pub store: &'a Store,
    pub options: Options,
    /// Processes of each worker; by default one, or one for each of its GPUs.
    pub jobs: Option<usize>,
    /// Additional arguments for each worker.
    worker_args: Vec<String>,
    /// The elements of each array, and how many of them may run at the same time.
    pub arrays: Vec<(usize, Option<usize>)>,
    program: PathBuf,
}

/// The outcome of cancelling an array.
#[derive(Debug)]
pub struct Cancelled {
    pub array: Array,
    /// Its elements in the queue before; `None` if squeue does not answer.
    pub counts: Option<QueueCounts>,
    /// Why scancel failed, if it did; then the elements end on their own.
    pub failure: Option<String>,
}

impl<'a> Plan<'a> {
    /// A submission for this number of pending runs.
    ///
    /// # Errors
    /// Usage: options that are invalid or that this cluster does not allow.
    pub fn new(
        sweep: &'a Sweep,
        store: &'a Store,
        options: Options,
        jobs: Option<usize>,
        worker_args: Vec<String>,
        runs: usize,
    ) -> Result<Self> {
        options.check("")?;
        let at_a_time = jobs.or(options.gpus_per_task).unwrap_or(1).max(1);
        let elements = options.workers.unwrap_or(runs).min(runs.div_ceil(at_a_time));
        let arrays = arrays(elements, max_array_size()?, options.throttle)?;
        let program =
            std::env::current_exe().map_err(|e| Error::internal(format!("which program is this? {e}")))?;
        Ok(Self { sweep, store, options, jobs, worker_args, arrays, program })
    }

    pub fn elements(&self) -> usize {
        self.arrays.iter().map(|(elements, _)| elements).sum()
    }

    /// The scripts that [`submit`](Self::submit) would write.
    pub fn scripts(&self) -> Result<Vec<String>> {
        let folder = submission::folder(&self.sweep.dir, submission::next(&self.sweep.dir)?);
        self.texts(&folder)
    }

    fn texts(&self, folder: &std::path::Path) -> Result<Vec<String>> {
        let script = Script {
            sweep: &self.sweep.id,
            directory: &self.sweep.directory,
            store: self.store.dir(),
            program: &self.program,
            folder,
            jobs: self.jobs,
            worker_args: &self.worker_args,
            options: &self.options,
        };
        self.arrays.iter().map(|(elements, throttle)| script.text(*elements, *throttle)).collect()
    }

    /// Writes the scripts and submits them with sbatch.
    ///
    /// # Errors
    /// Usage: sbatch refuses, with its message.
    pub fn submit(&self) -> Result<Submission> {
        self.sweep.save()?;
        let mut submission = Submission::create(&self.sweep.dir, self.jobs, self.options.clone())?;
        for (n, text) in self.texts(&submission.folder)?.iter().enumerate() {
            let script = submission.folder.join(format!("array-{}.sh", n + 1));
            atomic_write(&script, text.as_bytes())?;
            let path = script.to_string_lossy();
            let answer = match call("sbatch", &["--parsable", &path], TIMEOUT) {
                Ok(answer) => answer,
                Err(failure) => return Err(sbatch_failed(submission, &failure)),
            };
            let Some((job, cluster)) = job(&answer) else {
                let failure = Failure::Message(format!("its output {:?} is not a job id", answer.trim()));
                return Err(sbatch_failed(submission, &failure));
            };
            submission.arrays.push(Array { job, cluster, elements: self.arrays[n].0, script });
            submission.save()?;
        }
        Ok(submission)
    }
}

fn sbatch_failed(submission: Submission, failure: &Failure) -> Error {
    let submitted = match submission.elements() {
        0 => {
            submission.discard();
            "Nothing was submitted.".to_owned()
        }
        elements => format!("{elements} elements had been submitted by then and continue."),
    };
    Error::usage(match failure {
        Failure::NotFound => format!(
            "sbatch is not on PATH. {submitted} Submit from a machine that has Slurm's commands, or drop --executor slurm to \
             run here; --dry-run prints the script."
        ),
        Failure::Message(message) => {
            format!("sbatch refuses: {message}. {submitted} --dry-run prints the script.")
        }
        Failure::TimedOut(timeout) => format!(
            "sbatch did not answer within {} s. {submitted} Check the queue with squeue, then try again.",
            timeout.as_secs()
        ),
    })
}

/// Parses `123` or `123;cluster`, after any output of a site's plugins.
fn job(answer: &str) -> Option<(u64, Option<String>)> {
    let line = answer.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let (job, cluster) = line.split_once(';').map_or((line, None), |(job, name)| (job, Some(name)));
    Some((job.parse().ok()?, cluster.filter(|name| !name.is_empty()).map(str::to_owned)))
}

/// The maximum number of elements of an array on this cluster.
fn max_array_size() -> Result<usize> {
    let config = call("scontrol", &["show", "config"], TIMEOUT).unwrap_or_default();
    let line = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"));
    let size = line.and_then(|rest| rest.trim_start().strip_prefix('=')?.trim().parse().ok());
    match size {
        Some(0) => Err(Error::usage(
            "this cluster does not allow job arrays (MaxArraySize is 0). Submit jobs of your own that call `lottery worker`.",
        )),
        size => Ok(size.unwrap_or(MAX_ARRAY_SIZE)),
    }
}

/// Divides the elements, and the throttle, among as few arrays as possible.
fn arrays(elements: usize, most: usize, throttle: Option<usize>) -> Result<Vec<(usize, Option<usize>)>> {
    let count = elements.div_ceil(most);
    if let Some(throttle) = throttle
        && throttle < count
    {
        return Err(Error::usage(format!(
            "throttle = {throttle} cannot be shared by the {count} arrays of at most {most} elements (MaxArraySize) \
             that {elements} workers need. Give fewer --workers: each executes as many runs as its time allows."
        )));
    }
    let share = |whole: usize, n: usize| whole / count + usize::from(n < whole % count);
    Ok((0..count).map(|n| (share(elements, n), throttle.map(|throttle| share(throttle, n)))).collect())
}

/// The elements of these submissions in Slurm's queue. The error says why it cannot be asked.
pub fn queue_counts(submissions: &[Submission]) -> std::result::Result<QueueCounts, String> {
    let arrays = || submissions.iter().flat_map(|submission| &submission.arrays);
    if arrays().next().is_none() {
        return Ok(QueueCounts::default());
    }
    Queue::of(arrays()).map(|queue| queue.counts(arrays())).map_err(|failure| describe("squeue", &failure))
}

/// Cancels what is queued or running: through Slurm, and where that cannot be reached, by a file in the store that the
/// elements check.
pub fn cancel(submissions: &[Submission]) -> Result<Vec<Cancelled>> {
    // The files come first, so that a stopped element does not requeue itself.
    submissions.iter().try_for_each(Submission::cancel)?;
    let arrays = || submissions.iter().flat_map(|submission| &submission.arrays);
    let queue = if arrays().next().is_some() { Queue::of(arrays()).ok() } else { None };
    let mut cancelled = Vec::new();
    for array in arrays() {
        let counts = queue.as_ref().map(|queue| queue.counts([array]));
        if counts.is_some_and(|counts| counts.queued + counts.running == 0) {
            continue;
        }
        let job = array.job.to_string();
        let mut arguments = vec![job.as_str()];
        arguments.extend(array.cluster.iter().flat_map(|cluster| ["--clusters", cluster.as_str()]));
        let failure = call("scancel", &arguments, TIMEOUT).err().map(|failure| describe("scancel", &failure));
        cancelled.push(Cancelled { array: array.clone(), counts, failure });
    }
    Ok(cancelled)
}

fn describe(program: &str, failure: &Failure) -> String {
    match failure {
        Failure::NotFound => format!("{program} is not on PATH"),
        Failure::Message(message) => format!("{program} refuses: {message}"),
        Failure::TimedOut(timeout) => format!("{program} did not answer within {} s", timeout.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_divided_at_the_size_of_an_array_and_the_throttle_with_them() {
        let divided = |elements, throttle| arrays(elements, 10, throttle);
        assert_eq!(divided(10, None).unwrap(), [(10, None)]);
        assert_eq!(divided(21, None).unwrap(), [(7, None), (7, None), (7, None)]);
        assert_eq!(divided(23, Some(4)).unwrap(), [(8, Some(2)), (8, Some(1)), (7, Some(1))]);
        let error = divided(23, Some(2)).unwrap_err();
        assert!(error.to_string().contains("3 arrays of at most 10 elements"), "{error}");
    }

    #[test]
    fn the_job_id_is_found_with_and_without_a_cluster() {
        assert_eq!(job("12\n"), Some((12, None)));
        assert_eq!(job("12;east\n"), Some((12, Some("east".into()))));
        assert_eq!(job("sbatch: note\n12;\n"), Some((12, None)));
        assert_eq!(job("Submitted batch job 12\n"), None);
        assert_eq!(job(""), None);
    }
}
