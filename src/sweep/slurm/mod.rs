//! A sweep on a Slurm cluster: job arrays whose elements are workers.
//!
//! ```text
//! <sweep>/slurm/<n>/submission.json     what was submitted: job ids, elements, options
//! <sweep>/slurm/<n>/array-<m>.sh        the script of an array
//! <sweep>/slurm/<n>/logs/<job>_<m>.log  what an element said
//! <sweep>/slurm/<n>/cancelled           there once it was cancelled
//! ```
//!
//! How the runs stand is in the sweep's own files: Slurm's are asked for what is still queued, and nothing depends on
//! the answer.

mod command;
mod duration;
mod options;
mod queue;
mod script;
mod submission;

pub use command::unused_options;
pub use options::Options;
pub use queue::{Queue, Standing};
pub use submission::{Array, Submission, all};

use super::Sweep;
use crate::{
    error::{Error, Result},
    store::{Store, atomic_write},
};
use command::{Failure, call};
use script::Script;
use std::{path::PathBuf, time::Duration};

/// Slurm's default, for where it cannot be asked.
const MAX_ARRAY_SIZE: usize = 1001;
/// Of commands that change something; Slurm's own are shorter.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be submitted.
#[derive(Debug)]
pub struct Plan<'a> {
    pub sweep: &'a Sweep,
    pub store: &'a Store,
    pub options: Options,
    /// Processes of each worker; without a number one, or one for each of its GPUs.
    pub jobs: Option<usize>,
    /// Further arguments of each worker.
    more: Vec<String>,
    /// The elements of each array, and how many of them may run at a time.
    pub arrays: Vec<(usize, Option<usize>)>,
    program: PathBuf,
}

/// What became of an array that was to be cancelled.
#[derive(Debug)]
pub struct Cancelled {
    pub array: Array,
    /// In the queue when it was looked at; nobody knows without squeue.
    pub standing: Option<Standing>,
    /// Why Slurm did not end it: its elements end by themselves.
    pub refusal: Option<String>,
}

impl<'a> Plan<'a> {
    /// For so many runs. Usage errors: options that cannot be carried out.
    pub fn new(
        sweep: &'a Sweep,
        store: &'a Store,
        options: Options,
        jobs: Option<usize>,
        more: Vec<String>,
        runs: usize,
    ) -> Result<Self> {
        options.check("")?;
        let at_a_time = jobs.or(options.gpus_per_task).unwrap_or(1).max(1);
        let elements = options.workers.unwrap_or(runs).min(runs.div_ceil(at_a_time));
        let arrays = arrays(elements, max_array_size()?, options.throttle)?;
        let program =
            std::env::current_exe().map_err(|e| Error::internal(format!("which program is this? {e}")))?;
        Ok(Self { sweep, store, options, jobs, more, arrays, program })
    }

    pub fn elements(&self) -> usize {
        self.arrays.iter().map(|(elements, _)| elements).sum()
    }

    /// The scripts as [`submit`](Self::submit) would write them now.
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
            more: &self.more,
            options: &self.options,
        };
        self.arrays.iter().map(|(elements, throttle)| script.text(*elements, *throttle)).collect()
    }

    /// Writes the scripts and hands them to sbatch. What sbatch refuses is a usage error with its words.
    pub fn submit(&self) -> Result<Submission> {
        self.sweep.save()?;
        let mut submission = Submission::begin(&self.sweep.dir, self.jobs, self.options.clone())?;
        for (n, text) in self.texts(&submission.folder)?.iter().enumerate() {
            let script = submission.folder.join(format!("array-{}.sh", n + 1));
            atomic_write(&script, text.as_bytes())?;
            let path = script.to_string_lossy();
            let answer = match call("sbatch", &["--parsable", &path], PATIENCE) {
                Ok(answer) => answer,
                Err(failure) => return Err(refused(submission, &failure)),
            };
            let Some((job, cluster)) = job(&answer) else {
                let failure = Failure::Said(format!("it answered {:?}, which is no job id", answer.trim()));
                return Err(refused(submission, &failure));
            };
            submission.arrays.push(Array { job, cluster, elements: self.arrays[n].0, script });
            submission.save()?;
        }
        Ok(submission)
    }
}

fn refused(submission: Submission, failure: &Failure) -> Error {
    let taken = match submission.elements() {
        0 => {
            submission.forget();
            "Nothing was submitted.".to_owned()
        }
        elements => format!("{elements} elements had been submitted by then; they go on."),
    };
    Error::usage(match failure {
        Failure::Missing => format!(
            "there is no sbatch on PATH. {taken} Submit from a machine that has Slurm's commands, or leave \
             --executor slurm out to run here; --dry-run prints the script."
        ),
        Failure::Said(words) => format!("sbatch refuses: {words}. {taken} --dry-run prints the script."),
        Failure::Silent(patience) => format!(
            "sbatch has not answered for {} s. {taken} See what squeue says, and try again.",
            patience.as_secs()
        ),
    })
}

/// `123` or `123;cluster`, after whatever a site's plugins say.
fn job(answer: &str) -> Option<(u64, Option<String>)> {
    let line = answer.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let (job, cluster) = line.split_once(';').map_or((line, None), |(job, name)| (job, Some(name)));
    Some((job.parse().ok()?, cluster.filter(|name| !name.is_empty()).map(str::to_owned)))
}

/// The largest number of elements of one array here.
fn max_array_size() -> Result<usize> {
    let config = call("scontrol", &["show", "config"], PATIENCE).unwrap_or_default();
    let line = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"));
    let size = line.and_then(|rest| rest.trim_start().strip_prefix('=')?.trim().parse().ok());
    match size {
        Some(0) => Err(Error::usage(
            "this Slurm takes no job arrays (MaxArraySize is 0). Submit jobs of your own that call `lottery worker`.",
        )),
        size => Ok(size.unwrap_or(MAX_ARRAY_SIZE)),
    }
}

/// So many elements in as few arrays as possible, which share the throttle.
fn arrays(elements: usize, most: usize, throttle: Option<usize>) -> Result<Vec<(usize, Option<usize>)>> {
    let count = elements.div_ceil(most);
    if let Some(throttle) = throttle
        && throttle < count
    {
        return Err(Error::usage(format!(
            "throttle = {throttle} cannot be shared by the {count} arrays of at most {most} elements (MaxArraySize) \
             that {elements} workers need. Give fewer --workers: one does as many runs as its time allows."
        )));
    }
    let share = |whole: usize, n: usize| whole / count + usize::from(n < whole % count);
    Ok((0..count).map(|n| (share(elements, n), throttle.map(|throttle| share(throttle, n)))).collect())
}

/// What of this sweep Slurm has. A sweep that was never submitted has nothing; a failure where nobody answers.
pub fn standing(submissions: &[Submission]) -> std::result::Result<Standing, String> {
    let arrays = || submissions.iter().flat_map(|submission| &submission.arrays);
    if arrays().next().is_none() {
        return Ok(Standing::default());
    }
    Queue::of(arrays()).map(|queue| queue.standing(arrays())).map_err(|failure| words("squeue", &failure))
}

/// Ends what is queued or running, here through Slurm, and where Slurm cannot be reached by a file in the store that
/// the elements look at.
pub fn cancel(submissions: &[Submission]) -> Result<Vec<Cancelled>> {
    // The files first: an element that is stopped must not go back into the queue.
    submissions.iter().try_for_each(Submission::cancel)?;
    let arrays = || submissions.iter().flat_map(|submission| &submission.arrays);
    let queue = if arrays().next().is_some() { Queue::of(arrays()).ok() } else { None };
    let mut cancelled = Vec::new();
    for array in arrays() {
        let standing = queue.as_ref().map(|queue| queue.standing([array]));
        if standing.is_some_and(|standing| standing.queued + standing.running == 0) {
            continue;
        }
        let job = array.job.to_string();
        let mut arguments = vec![job.as_str()];
        arguments.extend(array.cluster.iter().flat_map(|cluster| ["--clusters", cluster.as_str()]));
        let refusal = call("scancel", &arguments, PATIENCE).err().map(|failure| words("scancel", &failure));
        cancelled.push(Cancelled { array: array.clone(), standing, refusal });
    }
    Ok(cancelled)
}

fn words(program: &str, failure: &Failure) -> String {
    match failure {
        Failure::Missing => format!("there is no {program} on PATH"),
        Failure::Said(words) => format!("{program} refuses: {words}"),
        Failure::Silent(patience) => format!("{program} has not answered for {} s", patience.as_secs()),
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
