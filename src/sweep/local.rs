//! Executes a sweep on this machine: a process for each run, so many at a time.

use super::{
    Run, Sweep,
    fate::{Fate, fate},
    job::{Job, Launch},
    live::Live,
    options::Options,
    process::{reason, terminate, was_terminated},
    records::{self, Expected, Summary},
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

/// How often processes are asked whether they have ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How often runs that wait for others are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The exit code of a run that can be taken up again.
const STOPPED: i32 = 4;

/// How many runs stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub done: usize,
    pub failed: usize,
    pub running: usize,
    pub total: usize,
}

/// Whoever watches a sweep.
pub trait Watcher {
    /// How it stands before anything is begun.
    fn begins(&mut self, counts: Counts);
    /// Several times a second.
    fn tick(&mut self, counts: Counts);
    /// A run has ended, here or in another process.
    fn ended(&mut self, sweep: &Sweep, run: &Run, fate: &Fate, counts: Counts);
    /// Whether to stop where the work can be taken up again.
    fn stop_wanted(&self) -> bool;
}

struct Local<'a> {
    sweep: &'a Sweep,
    store: &'a Store,
    options: &'a Options,
    fates: Vec<Fate>,
    sharing: Sharing,
    jobs: Vec<Job>,
    /// Runs that other processes compute: what is wanted of them, and when it was last asked for.
    elsewhere: BTreeMap<usize, (Lock, Instant)>,
    /// What the runs would read now.
    contents: Contents,
    /// Runs that were begun once more since what they read had changed while the sweep ran.
    renewed: HashSet<usize>,
    /// Failed attempts known at the beginning; more of them were made by others since.
    attempts: Vec<u32>,
    failures: usize,
    program: PathBuf,
}

/// Executes what is to be done of a sweep that was saved, and says how every run stands. Fails only where the store
/// does.
pub fn execute(
    sweep: &Sweep,
    store: &Store,
    options: &Options,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Fate>> {
    sweep.refuse_links()?;
    let program =
        std::env::current_exe().map_err(|e| Error::internal(format!("which program is this? {e}")))?;
    let mut local = Local {
        sweep,
        store,
        options,
        fates: Vec::new(),
        sharing: Sharing::new(&sweep.runs)?,
        jobs: Vec::new(),
        elsewhere: BTreeMap::new(),
        contents: Contents::new(&sweep.directory, store),
        renewed: HashSet::new(),
        attempts: Vec::new(),
        failures: 0,
        program,
    };
    local.look()?;
    watcher.begins(local.counts());
    let outcome = local.work(watcher);
    if outcome.is_err() {
        // The store cannot be written, say: what runs is to stop where it can be taken up again.
        local.jobs.iter().for_each(|job| terminate(&job.child));
    }
    outcome.map(|()| local.fates)
}

impl Local<'_> {
    /// What is done already, and what failed.
    fn look(&mut self) -> Result<()> {
        let fate = |run| fate(self.sweep, self.store, run, &mut self.contents);
        self.fates = self.sweep.runs.iter().map(fate).collect::<Result<_>>()?;
        self.attempts = self.fates.iter().map(|fate| fate.state.attempts).collect();
        for (index, fate) in self.fates.iter_mut().enumerate() {
            match fate.state.status {
                Status::Done => {
                    self.sharing.done(index);
                    // An orphan may have finished it, or another sweep.
                    let run = &self.sweep.runs[index];
                    if self.sweep.state(run).status != Status::Done {
                        (fate.state.exit_code, fate.state.error) = (None, None);
                        fate.state.save(&self.sweep.dir)?;
                    }
                }
                Status::Failed if !self.options.retry => {}
                _ => {
                    fate.state.status = Status::Pending;
                    fate.state.exit_code = None;
                }
            }
        }
        Ok(())
    }

    fn work(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let mut stopping = false;
        loop {
            self.reap(watcher)?;
            let enough = self.options.max_failures.is_some_and(|most| self.failures >= most);
            let late = self.options.until.is_some_and(|until| Instant::now() >= until);
            if !stopping && (watcher.stop_wanted() || enough || late) {
                stopping = true;
                for job in &mut self.jobs {
                    terminate(&job.child);
                    job.stopping = true;
                }
            }
            if !stopping {
                self.open_early();
                while self.jobs.len() < self.options.jobs && self.begin_one(watcher)? {}
            }
            let mine = |index: &usize| self.options.wait_for_others || !self.elsewhere.contains_key(index);
            let waiting = !stopping && (0..self.fates.len()).filter(mine).any(|index| self.waiting(index));
            if self.jobs.is_empty() && !waiting {
                if !stopping && self.renew()? {
                    continue;
                }
                // What a killed sweep, or one that kept more, has left.
                let groups: HashSet<_> = (0..self.fates.len()).map(|run| self.sharing.first(run)).collect();
                groups.into_iter().for_each(|group| self.trim(group));
                return Ok(());
            }
            watcher.tick(self.counts());
            thread::sleep(PAUSE);
        }
    }

    /// Runs that were done, and whose model or data changed while others ran, are begun once more, so that a sweep does
    /// not show an old subnetwork beside a new one. Whether there are any.
    fn renew(&mut self) -> Result<bool> {
        self.contents.refresh();
        let mut any = false;
        for index in 0..self.fates.len() {
            let run = &self.sweep.runs[index];
            if self.fates[index].state.status == Status::Done && !self.renewed.contains(&index) {
                let now = fate(self.sweep, self.store, run, &mut self.contents)?;
                if now.state.status != Status::Done {
                    self.renewed.insert(index);
                    self.fates[index] = Fate { state: State::pending(&run.name), summary: None };
                    self.sharing.forget();
                    any = true;
                }
            }
        }
        Ok(any)
    }

    fn counts(&self) -> Counts {
        let of = |status| self.fates.iter().filter(|fate| fate.state.status == status).count();
        Counts {
            done: of(Status::Done),
            failed: of(Status::Failed),
            running: self.jobs.len(),
            total: self.fates.len(),
        }
    }

    /// Begins the next run that shares nothing with a running one, unless what they share is there. False when there
    /// is none at present.
    fn begin_one(&mut self, watcher: &mut dyn Watcher) -> Result<bool> {
        for index in 0..self.fates.len() {
            if !self.waiting(index) || !self.ready(index) {
                continue;
            }
            let run = &self.sweep.runs[index];
            let mut lock = match self.elsewhere.remove(&index) {
                Some((lock, _)) => lock,
                None => state::lock(self.store, &run.name)?,
            };
            let Some(lock) = lock.take()? else {
                self.elsewhere.insert(index, (lock, Instant::now()));
                continue;
            };
            // Another process may have ended it in the meantime.
            self.contents.refresh();
            let now = fate(self.sweep, self.store, run, &mut self.contents)?;
            let failed_since =
                now.state.status == Status::Failed && now.state.attempts > self.attempts[index];
            if now.state.status == Status::Done || failed_since {
                drop(lock);
                self.settle(index, now, watcher)?;
            } else {
                self.begin(index, lock, watcher)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether it is still to be begun. What somebody stopped in this sweep, and nobody else, stays so.
    fn waiting(&self, index: usize) -> bool {
        let state = &self.fates[index].state;
        state.status == Status::Pending && state.exit_code != Some(STOPPED)
    }

    fn ready(&self, index: usize) -> bool {
        if let Some((_, at)) = self.elsewhere.get(&index) {
            return at.elapsed() >= LOOK_AGAIN;
        }
        let others = self.jobs.iter().map(|job| job.index).chain(self.elsewhere.keys().copied());
        self.sharing.is_free(index, others)
    }

    fn begin(&mut self, index: usize, lock: Lease, watcher: &mut dyn Watcher) -> Result<()> {
        let fate = &mut self.fates[index];
        fate.state.attempts = fate.state.attempts.saturating_add(1);
        fate.state.status = Status::Running;
        (fate.state.exit_code, fate.state.error, fate.state.seconds) = (None, None, None);
        fate.state.save(&self.sweep.dir)?;
        let slot = (0..).find(|slot| self.jobs.iter().all(|job| job.slot != *slot)).unwrap_or(0);
        let Self { program, sweep, store, options, .. } = &*self;
        let launch = Launch { program, sweep, store, options, index, slot };
        match launch.start(lock)? {
            Ok(job) => self.jobs.push(job),
            Err(e) => {
                let mut fate = self.fates[index].clone();
                fate.state.status = Status::Failed;
                fate.state.error = Some(format!("cannot start {}: {e}", self.program.display()));
                self.settle(index, fate, watcher)?;
            }
        }
        Ok(())
    }

    /// Takes note of the processes that have ended.
    fn reap(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
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
            let mut fate = self.fates[job.index].clone();
            fate.state.exit_code = status.code();
            fate.state.seconds = Some(job.began.elapsed().as_secs_f64());
            // It may have been asked before it listened.
            if status.code() == Some(STOPPED) || job.stopping && was_terminated(status) {
                fate.state.status = Status::Pending;
            } else {
                fate.state.status = Status::Failed;
                fate.state.error = Some(reason(&self.sweep.log(run), job.log_from, status));
                if status.success() {
                    match self.record_of(job.index)? {
                        Some((path, summary)) => {
                            (fate.state.status, fate.state.error) = (Status::Done, None);
                            (fate.state.record, fate.summary) = (Some(path), Some(summary));
                        }
                        None => fate.state.error = Some("it ended well and left no record".into()),
                    }
                }
            }
            self.settle(job.index, fate, watcher)?;
            let _ = fs::remove_file(Live::path(&self.sweep.dir, &run.name));
        }
        Ok(())
    }

    /// The record of a run that has just ended; it may have read its data before they changed, see [`Self::renew`].
    fn record_of(&mut self, index: usize) -> Result<Option<(PathBuf, Summary)>> {
        let run = &self.sweep.runs[index];
        self.contents.refresh();
        let now = Expected::new(run, self.contents.look_up(&run.config))?;
        match records::find(self.store, run, &now)? {
            None => records::find(self.store, run, &Expected::new(run, None)?),
            found => Ok(found),
        }
    }

    fn settle(&mut self, index: usize, fate: Fate, watcher: &mut dyn Watcher) -> Result<()> {
        fate.state.save(&self.sweep.dir)?;
        match fate.state.status {
            Status::Done => self.sharing.done(index),
            Status::Failed => self.failures += 1,
            Status::Pending | Status::Running => {}
        }
        self.fates[index] = fate;
        self.trim(self.sharing.first(index));
        watcher.ended(self.sweep, &self.sweep.runs[index], &self.fates[index], self.counts());
        Ok(())
    }

    /// Clears the stages of the runs that share a fine-tuned model, once none of them is to come. What cannot be removed
    /// only takes room.
    fn trim(&self, group: Option<usize>) {
        if self.options.keep == Keep::Models {
            return;
        }
        let of_group = |index: &usize| self.sharing.first(*index) == group;
        let fates: Vec<&Fate> =
            (0..self.fates.len()).filter(of_group).map(|index| &self.fates[index]).collect();
        if fates.iter().any(|fate| matches!(fate.state.status, Status::Pending | Status::Running)) {
            return;
        }
        // A run that this sweep never began is somebody else's.
        let own = fates.iter().filter(|fate| fate.state.attempts > 0);
        let stages: BTreeSet<&str> =
            own.filter_map(|fate| fate.summary.as_ref()).flat_map(Summary::stages).collect();
        let _ = self.store.trim(stages, self.options.keep);
    }

    /// Asks the running jobs how far they are, so that others need not wait until they end.
    fn open_early(&mut self) {
        if self.jobs.len() >= self.options.jobs {
            return;
        }
        for job in &self.jobs {
            if !self.sharing.is_there(job.index)
                && let Some(live) = Live::load(&Live::path(&self.sweep.dir, &self.sweep.runs[job.index].name))
            {
                self.sharing.reached(job.index, &live.stage);
            }
        }
    }
}
