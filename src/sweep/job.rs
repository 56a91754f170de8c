//! The process of one run.

use super::{Run, Sweep, live::Live, options::Options};
use crate::{
    error::{Error, Result},
    file,
    store::{Lease, Store, atomic_write},
};
use std::{
    fs, io,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

/// A running process.
pub(super) struct Job {
    /// The index of the run in its sweep.
    pub index: usize,
    pub child: Child,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// Its number among the processes that run at the same time.
    pub slot: usize,
    /// Shared with the process, whose stdin it is.
    _lock: Lease,
    /// Where this process's part of the log starts.
    pub log_from: u64,
    pub started: Instant,
}

/// What a process is started with.
pub(super) struct JobSpec<'a> {
    pub program: &'a Path,
    pub sweep: &'a Sweep,
    pub store: &'a Store,
    pub options: &'a Options,
    pub index: usize,
    pub slot: usize,
}

impl Job {
    /// Starts the process. The inner error is the operating system's reason for not starting it.
    pub fn start(spec: &JobSpec, lock: Lease) -> Result<io::Result<Self>> {
        let log = spec.sweep.log(spec.run());
        let failed = |e: &io::Error| Error::io(&log, "write", e);
        let file = file::append(&log).map_err(|e| failed(&e))?;
        let log_from = file.metadata().map_err(|e| failed(&e))?.len();
        let mut command = spec.command()?;
        command
            // The lock, as an open file: it is held until the run's process ends, even if this one is killed before.
            .stdin(Stdio::from(lock.file().try_clone().map_err(|e| failed(&e))?))
            .stdout(Stdio::null())
            .stderr(Stdio::from(file));
        let job = |child| Self {
            index: spec.index,
            child,
            stopping: false,
            slot: spec.slot,
            _lock: lock,
            log_from,
            started: Instant::now(),
        };
        Ok(command.spawn().map(job))
    }
}

impl JobSpec<'_> {
    fn run(&self) -> &Run {
        &self.sweep.runs[self.index]
    }

    fn command(&self) -> Result<Command> {
        let Self { sweep, options, .. } = self;
        let run = self.run();
        let mut config = run.config.clone();
        config.run.threads = config.run.threads.or(options.threads);
        let text = toml::to_string(&config).map_err(|e| Error::internal(e.to_string()))?;
        let settings = sweep.dir.join("configs").join(format!("{}.toml", run.name));
        atomic_write(&settings, text.as_bytes())?;
        let live = Live::path(&sweep.dir, &run.name);
        let _ = fs::remove_file(&live);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new(self.program);
        command
            .args(["run", "--config"])
            .arg(&settings)
            .arg("--store")
            .arg(self.store.dir())
            .args(["--keep", options.keep.name(), "--leave-shared", "--report"])
            .arg(&live)
            .arg("--threads-alone")
            .arg((cores / options.jobs).max(1).to_string())
            .args(options.tensorboard.iter().flat_map(|dir| [Path::new("--tensorboard"), dir]))
            .current_dir(&sweep.directory)
            // The settings are complete: they already include this machine's defaults.
            .env_remove("LOTTERY_MODEL")
            .env_remove("LOTTERY_DATA");
        if !options.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", &options.gpus[self.slot % options.gpus.len()]);
        }
        // Ctrl-C on a terminal reaches a whole process group; the runs should get one signal, from here.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }
}
