//! Executes a sweep on this machine: each run in a process of its own, a limited number at a time.

use super::{
    Run, Sweep,
    cancel::Requests,
    job::{Job, JobSpec},
    live::Live,
    options::Options,
    process::{reason, terminate, was_terminated},
    records::{self, Expected, Summary},
    run_result::{RunResult, run_result},
    sharing::Sharing,
    state::{self, State, Status},
};
use crate::{
    error::{Error, Result},
    experiment::Contents,
    store::{Keep, Lease, Lock, Store},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// How often to check whether processes have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The interval between attempts to lock a run that another process executes.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// The exit code of a run that was stopped and can resume.
const STOPPED: i32 = 4;

/// The number of runs by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub done: usize,
    pub failed: usize,
    pub running: usize,
    pub total: usize,
}

/// Follows the progress of a sweep, and may stop it.
pub trait Observer {
    /// Called once, before the first run starts.
    fn started(&mut self, counts: Counts);
    /// Called many times a second.
    fn tick(&mut self, sweep: &Sweep, running: &[&Run], counts: Counts);
    /// A run has ended, here or in another process.
    fn run_ended(&mut self, sweep: &Sweep, run: &Run, result: &RunResult, counts: Counts);
    /// Whether to stop, with checkpoints to resume from.
    fn stop_wanted(&self) -> bool;
}

struct Local<'a> {
    sweep: &'a Sweep,
    store: &'a Store,
    options: &'a Options,
    results: Vec<RunResult>,
    sharing: Sharing,
    jobs: Vec<Job>,
    /// Runs that other processes execute: their lock, and when it was last tried.
    busy: BTreeMap<usize, (Lock, Instant)>,
    /// The present contents of the runs' models and data.
    contents: Contents,
    /// Runs that were repeated because their model or data changed while the sweep ran. Each is repeated once.
    repeated: HashSet<usize>,
    /// Attempts at each run when the sweep started; any more were made by other processes.
    attempts: Vec<u32>,
    failures: usize,
    program: PathBuf,
}

/// Executes the pending runs of a saved sweep and returns the result of every run. A failed run is not an error.
///
/// # Errors
/// The store cannot be read or written.
pub fn execute(
    sweep: &Sweep,
    store: &Store,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Vec<RunResult>> {
    sweep.refuse_links()?;
    let program =
        std::env::current_exe().map_err(|e| Error::internal(format!("which program is this? {e}")))?;
    let mut local = Local {
        sweep,
        store,
        options,
        results: Vec::new(),
        sharing: Sharing::new(&sweep.runs)?,
        jobs: Vec::new(),
        busy: BTreeMap::new(),
        contents: Contents::new(&sweep.directory, store),
        repeated: HashSet::new(),
        attempts: Vec::new(),
        failures: 0,
        program,
    };
    local.load_results()?;
    observer.started(local.counts());
    let outcome = local.work(observer);
    if outcome.is_err() {
        // For example, the store cannot be written. Running processes write a checkpoint and stop.
        local.jobs.iter().for_each(|job| terminate(&job.child));
    }
    outcome?;
    // The record of a later run of other settings moves that of an earlier one to another file.
    for (index, run) in sweep.runs.iter().enumerate() {
        if local.results[index].state.status == Status::Done {
            local.results[index] = run_result(sweep, store, run, &mut local.contents)?;
        }
    }
    Ok(local.results)
}

impl Local<'_> {
    /// Finds out which runs are done and which failed.
    fn load_results(&mut self) -> Result<()> {
        let result = |run| run_result(self.sweep, self.store, run, &mut self.contents);
        self.results = self.sweep.runs.iter().map(result).collect::<Result<_>>()?;
        self.attempts = self.results.iter().map(|result| result.state.attempts).collect();
        for (index, result) in self.results.iter_mut().enumerate() {
            match result.state.status {
                Status::Done => {
                    self.sharing.run_done(index);
                    // Another sweep may have finished it, or a process whose sweep was killed.
                    let run = &self.sweep.runs[index];
                    if self.sweep.state(run).status != Status::Done {
                        (result.state.exit_code, result.state.error) = (None, None);
                        result.state.save(&self.sweep.dir)?;
                    }
                }
                Status::Failed if !self.options.retry => {}
                _ => {
                    result.state.status = Status::Pending;
                    result.state.exit_code = None;
                }
            }
        }
        Ok(())
    }

    fn work(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (mut stopping, mut requests) = (false, Requests::of(self.sweep));
        loop {
            self.reap(observer)?;
            let enough = self.options.max_failures.is_some_and(|most| self.failures >= most);
            let late = self.options.until.is_some_and(|until| Instant::now() >= until);
            if !stopping && (observer.stop_wanted() || enough || late || requests.is_made()) {
                stopping = true;
                for job in &mut self.jobs {
                    terminate(&job.child);
                    job.stopping = true;
                }
            }
            if !stopping {
                self.note_reached_stages();
                while self.jobs.len() < self.options.jobs && self.start_next(observer)? {}
            }
            let awaited = |index: &usize| self.options.wait_for_others || !self.busy.contains_key(index);
            let waiting =
                !stopping && (0..self.results.len()).filter(awaited).any(|index| self.to_start(index));
            if self.jobs.is_empty() && !waiting {
                if !stopping && self.reset_outdated()? {
                    continue;
                }
                // What a killed sweep, or one that kept more, left behind.
                let groups: HashSet<_> = (0..self.results.len()).map(|run| self.sharing.first(run)).collect();
                groups.into_iter().for_each(|group| self.trim(group));
                return Ok(());
            }
            let running: Vec<&Run> = self.jobs.iter().map(|job| &self.sweep.runs[job.index]).collect();
            observer.tick(self.sweep, &running, self.counts());
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sets runs back to pending whose model or data changed after they were done, so that a sweep does not show an old
    /// subnetwork beside a new one. Returns whether there are any.
    fn reset_outdated(&mut self) -> Result<bool> {
        self.contents.refresh();
        let mut any = false;
        for index in 0..self.results.len() {
            let run = &self.sweep.runs[index];
            if self.results[index].state.status == Status::Done && !self.repeated.contains(&index) {
                let now = run_result(self.sweep, self.store, run, &mut self.contents)?;
                if now.state.status != Status::Done {
                    self.repeated.insert(index);
                    self.results[index] = RunResult { state: State::pending(&run.name), summary: None };
                    self.sharing.clear();
                    any = true;
                }
            }
        }
        Ok(any)
    }

    fn counts(&self) -> Counts {
        let of = |status| self.results.iter().filter(|result| result.state.status == status).count();
        Counts {
            done: of(Status::Done),
            failed: of(Status::Failed),
            running: self.jobs.len(),
            total: self.results.len(),
        }
    }

    /// Starts the next pending run, skipping those that need a stage which another run is computing. Returns whether
    /// there was one.
    fn start_next(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        for index in 0..self.results.len() {
            if !self.to_start(index) || !self.can_start(index) {
                continue;
            }
            let run = &self.sweep.runs[index];
            let mut lock = match self.busy.remove(&index) {
                Some((lock, _)) => lock,
                None => state::lock(self.store, &run.name)?,
            };
            let Some(lock) = lock.take()? else {
                self.busy.insert(index, (lock, Instant::now()));
                continue;
            };
            // Another process may have finished it in the meantime.
            self.contents.refresh();
            let now = run_result(self.sweep, self.store, run, &mut self.contents)?;
            let failed_since =
                now.state.status == Status::Failed && now.state.attempts > self.attempts[index];
            if now.state.status == Status::Done || failed_since {
                drop(lock);
                self.record_result(index, now, observer)?;
            } else {
                self.start(index, lock, observer)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether it is still to be started. A run that stopped in the course of this sweep is not started again.
    fn to_start(&self, index: usize) -> bool {
        let state = &self.results[index].state;
        state.status == Status::Pending && state.exit_code != Some(STOPPED)
    }

    fn can_start(&self, index: usize) -> bool {
        if let Some((_, at)) = self.busy.get(&index) {
            return at.elapsed() >= LOCK_RETRY_INTERVAL;
        }
        let others = self.jobs.iter().map(|job| job.index).chain(self.busy.keys().copied());
        self.sharing.can_start(index, others)
    }

    fn start(&mut self, index: usize, lock: Lease, observer: &mut dyn Observer) -> Result<()> {
        let result = &mut self.results[index];
        result.state.attempts = result.state.attempts.saturating_add(1);
        result.state.status = Status::Running;
        (result.state.exit_code, result.state.error, result.state.seconds) = (None, None, None);
        result.state.save(&self.sweep.dir)?;
        let slot = (0..).find(|slot| self.jobs.iter().all(|job| job.slot != *slot)).unwrap_or(0);
        let Self { program, sweep, store, options, .. } = &*self;
        let spec = JobSpec { program, sweep, store, options, index, slot };
        match Job::start(&spec, lock)? {
            Ok(job) => self.jobs.push(job),
            Err(e) => {
                let mut result = self.results[index].clone();
                result.state.status = Status::Failed;
                result.state.error = Some(format!("cannot start {}: {e}", self.program.display()));
                self.record_result(index, result, observer)?;
            }
        }
        Ok(())
    }

    /// Records the results of processes that have ended.
    fn reap(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let mut n = 0;
        while n < self.jobs.len() {
            let status = self.jobs[n].child.try_wait();
            let Some(status) = status.map_err(|e| Error::internal(format!("cannot wait for a run: {e}")))?
            else {
                n += 1;
                continue;
            };
            let job = self.jobs.remove(n);
            let run = &self.sweep.runs[job.index];
            let mut result = self.results[job.index].clone();
            result.state.exit_code = status.code();
            result.state.seconds = Some(job.started.elapsed().as_secs_f64());
            // The signal may have come before its handler was installed.
            if status.code() == Some(STOPPED) || job.stopping && was_terminated(status) {
                result.state.status = Status::Pending;
            } else {
                result.state.status = Status::Failed;
                result.state.error = Some(reason(&self.sweep.log(run), job.log_from, status));
                if status.success() {
                    match self.record_of(job.index)? {
                        Some((path, summary)) => {
                            (result.state.status, result.state.error) = (Status::Done, None);
                            (result.state.record, result.summary) = (Some(path), Some(summary));
                        }
                        None => result.state.error = Some("it exited with code 0 but left no record".into()),
                    }
                }
            }
            self.record_result(job.index, result, observer)?;
            let _ = fs::remove_file(Live::path(&self.sweep.dir, &run.name));
        }
        Ok(())
    }

    /// The record of a run that has just ended. It may have read its data before they changed; then
    /// [`Self::reset_outdated`] repeats it.
    fn record_of(&mut self, index: usize) -> Result<Option<(PathBuf, Summary)>> {
        let run = &self.sweep.runs[index];
        self.contents.refresh();
        let now = Expected::new(run, self.contents.look_up(&run.config))?;
        match records::find(self.store, run, &now)? {
            None => records::find(self.store, run, &Expected::new(run, None)?),
            found => Ok(found),
        }
    }

    fn record_result(&mut self, index: usize, result: RunResult, observer: &mut dyn Observer) -> Result<()> {
        result.state.save(&self.sweep.dir)?;
        match result.state.status {
            Status::Done => self.sharing.run_done(index),
            Status::Failed => self.failures += 1,
            Status::Pending | Status::Running => {}
        }
        self.results[index] = result;
        self.trim(self.sharing.first(index));
        observer.run_ended(self.sweep, &self.sweep.runs[index], &self.results[index], self.counts());
        Ok(())
    }

    /// Removes what is not kept of the runs that share a fine-tuned model, once all of them have ended. What cannot be
    /// removed only takes space.
    fn trim(&self, group: Option<usize>) {
        if self.options.keep == Keep::Models {
            return;
        }
        let of_group = |index: &usize| self.sharing.first(*index) == group;
        let results: Vec<&RunResult> =
            (0..self.results.len()).filter(of_group).map(|index| &self.results[index]).collect();
        if results.iter().any(|result| matches!(result.state.status, Status::Pending | Status::Running)) {
            return;
        }
        // A run that this sweep never started belongs to another.
        let own = results.iter().filter(|result| result.state.attempts > 0);
        let stages: BTreeSet<&str> =
            own.filter_map(|result| result.summary.as_ref()).flat_map(Summary::stages).collect();
        let _ = self.store.trim(stages, self.options.keep);
    }

    /// Reads which stages the running jobs have reached: runs that need the finished ones can start.
    fn note_reached_stages(&mut self) {
        if self.jobs.len() >= self.options.jobs {
            return;
        }
        for job in &self.jobs {
            if !self.sharing.is_available(job.index)
                && let Some(live) = Live::load(&Live::path(&self.sweep.dir, &self.sweep.runs[job.index].name))
            {
                self.sharing.reached(job.index, &live.stage);
            }
        }
    }
}
