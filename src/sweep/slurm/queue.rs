//! The elements that are still in Slurm's queue.

use super::{
    Array,
    command::{Failure, call},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// squeue waits for a controller that is down.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Numbers of elements in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    pub queued: usize,
    pub running: usize,
}

/// The output of squeue.
#[derive(Debug, Default)]
pub struct Queue {
    arrays: HashMap<(Option<String>, u64), QueueCounts>,
}

impl Queue {
    /// Asks squeue for these arrays.
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
            let lines = match call("squeue", &arguments, TIMEOUT) {
                Ok(lines) => lines,
                // Slurm forgets jobs a few minutes after their end.
                Err(Failure::Message(message)) if message.contains("Invalid job id") => continue,
                Err(failure) => return Err(failure),
            };
            for line in lines.lines() {
                let Some((job, state)) = line.trim().split_once(' ') else { continue };
                let Ok(job) = job.parse() else { continue };
                let counts = queue.arrays.entry((cluster.map(str::to_owned), job)).or_default();
                match state.trim() {
                    "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
                    | "RESV_DEL_HOLD" => {
                        counts.queued += 1;
                    }
                    _ => counts.running += 1,
                }
            }
        }
        Ok(queue)
    }

    /// The sum over these arrays.
    pub fn counts<'a>(&self, arrays: impl IntoIterator<Item = &'a Array>) -> QueueCounts {
        let mut sum = QueueCounts::default();
        for array in arrays {
            if let Some(one) = self.arrays.get(&(array.cluster.clone(), array.job)) {
                sum.queued += one.queued;
                sum.running += one.running;
            }
        }
        sum
    }
}
