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

/// A run that is going on.
pub(super) struct Job {
    /// The place of the run in its sweep.
    pub index: usize,
    pub child: Child,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// Which of the processes at a time it is.
    pub slot: usize,
    /// Held together with the process itself, whose stdin it is.
    _lock: Lease,
    /// Where this process's part of the log begins.
    pub log_from: u64,
    pub began: Instant,
}

/// What a process is started with.
pub(super) struct Launch<'a> {
    pub program: &'a Path,
    pub sweep: &'a Sweep,
    pub store: &'a Store,
    pub options: &'a Options,
    pub index: usize,
    pub slot: usize,
}

impl Launch<'_> {
    fn run(&self) -> &Run {
        &self.sweep.runs[self.index]
    }

    /// Starts the process; the inner error says why there is none.
    pub fn start(&self, lock: Lease) -> Result<io::Result<Job>> {
        let log = self.sweep.log(self.run());
        let failed = |e: &io::Error| Error::io(&log, "write", e);
        let file = file::append(&log).map_err(|e| failed(&e))?;
        let log_from = file.metadata().map_err(|e| failed(&e))?.len();
        let mut command = self.command()?;
        command
            // The lock as an open file: it outlives this process when that is killed, and dies with the run's.
            .stdin(Stdio::from(lock.file().try_clone().map_err(|e| failed(&e))?))
            .stdout(Stdio::null())
            .stderr(Stdio::from(file));
        let job = |child| Job {
            index: self.index,
            child,
            stopping: false,
            slot: self.slot,
            _lock: lock,
            log_from,
            began: Instant::now(),
        };
        Ok(command.spawn().map(job))
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
            // The settings are complete: the defaults of this machine went in when they were made.
            .env_remove("LOTTERY_MODEL")
            .env_remove("LOTTERY_DATA");
        if !options.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", &options.gpus[self.slot % options.gpus.len()]);
        }
        // Ctrl-C on a terminal reaches a whole process group; the runs are to get the signal once, from here.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }
}
