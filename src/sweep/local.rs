//! Executes a sweep on this machine: a process for each run, so many at a time.

use super::{
    Run, Sweep,
    live::Live,
    process::{reason, terminate, was_terminated},
    records::{self, Summary, Wanted},
    state::{self, State, Status},
};
use crate::{
    error::{Error, Result},
    experiment::Contents,
    store::{Keep, Lease, Lock, Store, atomic_write, regular},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often processes are asked whether they have ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How often runs that wait for others are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The exit code of a run that can be taken up again.
const STOPPED: i32 = 4;

#[derive(Clone, Debug)]
pub struct Options {
    /// Processes at a time.
    pub jobs: usize,
    /// CPU threads of each, where its settings do not say; without a number they share the cores.
    pub threads: Option<usize>,
    /// Begin nothing more after so many failures, and stop what runs.
    pub max_failures: Option<usize>,
    /// Failed runs once more.
    pub retry: bool,
    /// Whether to wait for runs that other processes compute; a worker of many leaves them to those.
    pub wait_for_others: bool,
    /// Stop then where the work can be taken up again.
    pub until: Option<Instant>,
    /// For each process in turn the GPUs that it may see, as `CUDA_VISIBLE_DEVICES` names them.
    pub gpus: Vec<String>,
    /// What stays of the runs that this sweep carried out.
    pub keep: Keep,
    /// Where the runs write for TensorBoard; an absolute path, for they begin in another folder.
    pub tensorboard: Option<PathBuf>,
}

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

/// How a run stands in the end.
#[derive(Clone, Debug)]
pub struct Fate {
    pub state: State,
    pub summary: Option<Summary>,
}

struct Job {
    index: usize,
    child: Child,
    /// Whether it was asked to stop.
    asked: bool,
    /// Which of the processes at a time it is.
    slot: usize,
    /// Held together with the process itself, whose stdin it is.
    _lock: Lease,
    /// Where this process's part of the log begins.
    log_from: u64,
    began: Instant,
}

struct Local<'a> {
    sweep: &'a Sweep,
    store: &'a Store,
    options: &'a Options,
    fates: Vec<Fate>,
    /// For each run, what it shares with others, by number.
    shared: Vec<Vec<usize>>,
    /// What is there to be shared.
    open: HashSet<usize>,
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
        shared: numbered(sweep)?,
        open: HashSet::new(),
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

/// [`Run::shared`] of every run, equal ones by equal numbers.
fn numbered(sweep: &Sweep) -> Result<Vec<Vec<usize>>> {
    let mut numbers = HashMap::new();
    let mut number = |key| {
        let next = numbers.len();
        *numbers.entry(key).or_insert(next)
    };
    sweep.runs.iter().map(|run| Ok(run.shared()?.into_iter().map(&mut number).collect())).collect()
}

/// How every run of the sweep stands by the store; nothing is written.
pub fn standing(sweep: &Sweep, store: &Store) -> Result<Vec<Fate>> {
    let mut contents = Contents::new(&sweep.directory, store);
    sweep.runs.iter().map(|run| fate(sweep, store, run, &mut contents)).collect()
}

/// A run is done when its record is there, whoever wrote it: one of the same settings, of a model and data that hold
/// what they hold now.
pub(super) fn fate(sweep: &Sweep, store: &Store, run: &Run, contents: &mut Contents) -> Result<Fate> {
    let mut state = sweep.state(run);
    let found = records::find(store, run, &Wanted::new(run, contents.look_up(&run.config))?)?;
    state.status = match (&found, state.status) {
        (Some(_), _) => Status::Done,
        (None, Status::Failed) => Status::Failed,
        // Done once, and its record is gone; or its process is.
        (None, _) => Status::Pending,
    };
    state.record = found.as_ref().map(|(path, _)| path.clone());
    Ok(Fate { state, summary: found.map(|(_, summary)| summary) })
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
                    self.open.extend(&self.shared[index]);
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
                    job.asked = true;
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
                let groups: HashSet<usize> = self.shared.iter().map(|shared| shared[0]).collect();
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
                    self.open.clear();
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
        let mut others = self.jobs.iter().map(|job| job.index).chain(self.elsewhere.keys().copied());
        let needed: Vec<usize> =
            self.shared[index].iter().copied().filter(|key| !self.open.contains(key)).collect();
        needed.is_empty() || !others.any(|other| needed.iter().any(|key| self.shared[other].contains(key)))
    }

    fn begin(&mut self, index: usize, lock: Lease, watcher: &mut dyn Watcher) -> Result<()> {
        let (sweep, run) = (self.sweep, &self.sweep.runs[index]);
        let mut config = run.config.clone();
        config.run.threads = config.run.threads.or(self.options.threads);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let text = toml::to_string(&config).map_err(|e| Error::internal(e.to_string()))?;
        let settings = sweep.dir.join("configs").join(format!("{}.toml", run.name));
        atomic_write(&settings, text.as_bytes())?;
        let log = sweep.log(run);
        let failed = |e: &std::io::Error| Error::io(&log, "write", e);
        let file = regular::append(&log).map_err(|e| failed(&e))?;
        let log_from = file.metadata().map_err(|e| failed(&e))?.len();
        let live = Live::path(&sweep.dir, &run.name);
        let _ = fs::remove_file(&live);

        let fate = &mut self.fates[index];
        fate.state.attempts = fate.state.attempts.saturating_add(1);
        fate.state.status = Status::Running;
        (fate.state.exit_code, fate.state.error, fate.state.seconds) = (None, None, None);
        fate.state.save(&sweep.dir)?;

        let mut command = Command::new(&self.program);
        command
            .args(["run", "--config"])
            .arg(&settings)
            .arg("--store")
            .arg(self.store.dir())
            .args(["--keep", self.options.keep.name(), "--leave-shared", "--report"])
            .arg(&live)
            .arg("--threads-alone")
            .arg((cores / self.options.jobs).max(1).to_string())
            .args(self.options.tensorboard.iter().flat_map(|dir| [Path::new("--tensorboard"), dir]))
            .current_dir(&sweep.directory)
            // The settings are complete: what is usual here was asked when they were made.
            .env_remove("LOTTERY_MODEL")
            .env_remove("LOTTERY_DATA")
            // The lock as an open file: it outlives this process when that is killed, and dies with the run's.
            .stdin(Stdio::from(lock.file().try_clone().map_err(|e| failed(&e))?))
            .stdout(Stdio::null())
            .stderr(Stdio::from(file));
        let slot = (0..).find(|slot| self.jobs.iter().all(|job| job.slot != *slot)).unwrap_or(0);
        if !self.options.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", &self.options.gpus[slot % self.options.gpus.len()]);
        }
        // Ctrl-C on a terminal reaches a whole group; the runs are to hear of it once, from here.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        match command.spawn() {
            Ok(child) => self.jobs.push(Job {
                index,
                child,
                asked: false,
                slot,
                _lock: lock,
                log_from,
                began: Instant::now(),
            }),
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
            if status.code() == Some(STOPPED) || job.asked && was_terminated(status) {
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
        let now = Wanted::new(run, self.contents.look_up(&run.config))?;
        match records::find(self.store, run, &now)? {
            None => records::find(self.store, run, &Wanted::new(run, None)?),
            found => Ok(found),
        }
    }

    fn settle(&mut self, index: usize, fate: Fate, watcher: &mut dyn Watcher) -> Result<()> {
        fate.state.save(&self.sweep.dir)?;
        match fate.state.status {
            Status::Done => self.open.extend(&self.shared[index]),
            Status::Failed => self.failures += 1,
            Status::Pending | Status::Running => {}
        }
        self.fates[index] = fate;
        self.trim(self.shared[index][0]);
        watcher.ended(self.sweep, &self.sweep.runs[index], &self.fates[index], self.counts());
        Ok(())
    }

    /// Clears the stages of the runs that share a fine-tuned model, once none of them is to come. What cannot be removed
    /// only takes room.
    fn trim(&self, group: usize) {
        if self.options.keep == Keep::Models {
            return;
        }
        let of_group = |index: &usize| self.shared[*index][0] == group;
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

    /// Whoever runs first of those that share a search need not have ended for the others to begin.
    fn open_early(&mut self) {
        if self.jobs.len() >= self.options.jobs {
            return;
        }
        for job in &self.jobs {
            let shared = &self.shared[job.index];
            if shared.iter().all(|key| self.open.contains(key)) {
                continue;
            }
            let live = Live::load(&Live::path(&self.sweep.dir, &self.sweep.runs[job.index].name));
            let there = match live.as_ref().map(|live| live.stage.as_str()) {
                Some("retrain") => shared.len(),
                Some("search") => 1,
                _ => 0,
            };
            self.open.extend(&shared[..there]);
        }
    }
}
