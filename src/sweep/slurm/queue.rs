//! What Slurm still has of the elements, where it can be asked.

use super::{
    Array,
    command::{Failure, call},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// A controller that is down makes squeue wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Elements in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub queued: usize,
    pub running: usize,
}

/// An answer of squeue.
#[derive(Debug, Default)]
pub struct Queue {
    arrays: HashMap<(Option<String>, u64), Standing>,
}

impl Queue {
    /// Of these arrays; a failure where there is no squeue or no answer.
    pub fn of<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> Result<Self, Failure> {
        let mut clusters: BTreeMap<Option<&str>, Vec<u64>> = BTreeMap::new();
        for array in arrays {
            clusters.entry(array.cluster.as_deref()).or_default().push(array.job);
        }
        let mut queue = Self::default();
        for (cluster, jobs) in clusters {
            let jobs = jobs.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let mut arguments = vec!["--noheader", "--array", "--format=%F %T", "--jobs", &jobs];
            arguments.extend(cluster.iter().flat_map(|cluster| ["--clusters", cluster]));
            let lines = match call("squeue", &arguments, PATIENCE) {
                Ok(lines) => lines,
                // Slurm forgets jobs minutes after their end.
                Err(Failure::Said(words)) if words.contains("Invalid job id") => continue,
                Err(failure) => return Err(failure),
            };
            for line in lines.lines() {
                let Some((job, state)) = line.trim().split_once(' ') else { continue };
                let Ok(job) = job.parse() else { continue };
                let standing = queue.arrays.entry((cluster.map(str::to_owned), job)).or_default();
                match state.trim() {
                    "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
                    | "RESV_DEL_HOLD" => {
                        standing.queued += 1;
                    }
                    _ => standing.running += 1,
                }
            }
        }
        Ok(queue)
    }

    pub fn standing<'a>(&self, arrays: impl IntoIterator<Item = &'a Array>) -> Standing {
        let mut sum = Standing::default();
        for array in arrays {
            if let Some(one) = self.arrays.get(&(array.cluster.clone(), array.job)) {
                sum.queued += one.queued;
                sum.running += one.running;
            }
        }
        sum
    }
}
