//! The flags for how a sweep is executed.

use crate::{
    cli::{
        options::{self, numbers},
        slurm::SubmitOptions,
    },
    error::{Error, Result},
    store::Keep,
    sweep::Options,
};
use clap::Args;
use std::path::PathBuf;

/// How a sweep is executed, whatever its runs are.
#[derive(Args, Debug)]
pub struct ExecutionArgs {
    /// Processes at the same time [default: one, or one for each of --gpus]
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..=1024), help_heading = "Execution")]
    jobs: Option<u64>,

    /// GPUs to assign to the processes in turn, named as for CUDA_VISIBLE_DEVICES
    #[arg(long, value_delimiter = ',', value_name = "N,…", help_heading = "Execution")]
    gpus: Vec<String>,

    /// Stop at the first failure
    #[arg(long, conflicts_with = "max_failures", help_heading = "Execution")]
    fail_fast: bool,

    /// Stop after this many failures
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..), help_heading = "Execution")]
    max_failures: Option<u64>,

    /// What to keep of finished runs: models (everything), tickets (no weights) or none (no predictions either) [default: models]
    ///
    /// A fine-tuned model is removed once no pending run of the sweep needs it. Records, tickets and metrics are always
    /// kept.
    #[arg(long, value_name = "POLICY", help_heading = "Execution")]
    keep: Option<String>,

    /// Where finished stages and records are kept [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR", help_heading = "Execution")]
    store: Option<PathBuf>,

    /// Write scalars for TensorBoard to a folder for each run in DIR
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    tensorboard: Option<PathBuf>,

    /// Print all runs with status, paths and scores as one JSON document
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Exit with code 6 if a record of the sweep has warnings
    #[arg(long, help_heading = "Output")]
    pub deny_warnings: bool,

    /// Print no progress and no notes; errors are still printed
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

impl ExecutionArgs {
    pub fn store(&self) -> PathBuf {
        options::store_folder(self.store.as_deref(), options::variable)
    }

    /// The options for a submission, if Slurm is selected.
    ///
    /// # Errors
    /// Usage: a flag that only applies to processes on this machine, with Slurm.
    pub fn submit_options(&self, to_slurm: bool) -> Result<Option<SubmitOptions>> {
        let here = [
            ("--fail-fast", self.fail_fast),
            ("--max-failures", self.max_failures.is_some()),
            ("--gpus", !self.gpus.is_empty()),
        ];
        match here.iter().find(|(_, given)| *given) {
            Some((flag, _)) if to_slurm => Err(Error::usage(format!(
                "{flag} only applies to processes on this machine. Drop it; Slurm assigns GPUs by --gpus-per-task or --gres, \
                 and lottery sweep cancel stops its workers."
            ))),
            _ if !to_slurm => Ok(None),
            _ => Ok(Some(SubmitOptions {
                jobs: self.jobs.map(|jobs| jobs as usize),
                worker_args: self.for_workers()?,
                dry_run: false,
                retry: false,
                json: self.json,
                quiet: self.quiet,
            })),
        }
    }

    /// The flags that are passed on to workers.
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

    pub fn options(&self) -> Result<Options> {
        if let Some(wrong) = self.gpus.iter().find(|gpu| gpu.trim().is_empty()) {
            return Err(Error::usage(format!(
                "--gpus: {wrong:?} is not the name of a GPU. Write --gpus 0,1."
            )));
        }
        let jobs = self.jobs.map_or(self.gpus.len().max(1), |jobs| jobs as usize);
        let most = self.max_failures.map(|most| most as usize);
        let absolute = |dir: &PathBuf| std::path::absolute(dir).map_err(|e| Error::io(dir, "find", &e));
        Ok(Options {
            jobs,
            threads: None,
            max_failures: if self.fail_fast { Some(1) } else { most },
            retry: false,
            wait_for_others: true,
            until: None,
            gpus: self.gpus.clone(),
            tensorboard: self.tensorboard.as_ref().map(absolute).transpose()?,
            keep: options::keep(self.keep.as_deref())?,
        })
    }
}
