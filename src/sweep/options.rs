//! How a process executes a sweep's runs.

use crate::store::Keep;
use std::{path::PathBuf, time::Instant};

#[derive(Clone, Debug)]
pub struct Options {
    /// Runs executed at the same time, each in a process of its own.
    pub jobs: usize,
    /// CPU threads of each process whose settings name none; `None` divides the cores among them.
    pub threads: Option<usize>,
    /// After this many failures no run starts, and the running ones stop.
    pub max_failures: Option<usize>,
    /// Repeat failed runs.
    pub retry: bool,
    /// Wait for runs that other processes execute. A worker leaves them to those.
    pub wait_for_others: bool,
    /// When to stop, with checkpoints to resume from.
    pub until: Option<Instant>,
    /// GPUs to assign to the processes in turn, each a value of `CUDA_VISIBLE_DEVICES`.
    pub gpus: Vec<String>,
    /// What to keep of finished runs.
    pub keep: Keep,
    /// The runs' folder for TensorBoard. Absolute: they start in another directory.
    pub tensorboard: Option<PathBuf>,
}
