//! The number of threads that compute: the number that was asked for, otherwise a share of the cores.
//!
//! Every process that computes has a [`registration`]: a small locked file in a folder of the machine. A process that
//! was not given a number of threads counts the others by these files and takes its share, and counts again every two
//! seconds. So processes that know nothing of each other together use as many threads as there are cores, and the last
//! one running has all of them. No bit of a result depends on it. Where registration is impossible, a process uses all
//! cores.

mod claim;
mod registration;

use crate::error::{Error, Result};
use claim::Claim;
use rayon::{ThreadPool, ThreadPoolBuilder};
use registration::Registration;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How often the others are counted. Sooner at first: processes are often started together.
const RECOUNT_INTERVAL: Duration = Duration::from_secs(2);
const FIRST_RECOUNT: Duration = Duration::from_millis(125);

/// Name of the computing threads, as the system shows it.
const THREAD_NAME: &str = "compute";

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// The threads of this process.
struct State {
    /// The number of threads that was asked for.
    requested: Option<usize>,
    /// The number of threads to use where other processes cannot be counted.
    fallback: Option<usize>,
    folder: Option<PathBuf>,
    registration: Option<Registration>,
    pool: Arc<ThreadPool>,
    /// The largest number of threads so far.
    peak: usize,
    counted_at: Option<Instant>,
    pause: Duration,
}

/// What a process gets of the cores beside other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub threads: usize,
    /// Cores that the process may use.
    pub cores: usize,
    /// Other processes that compute on the same cores.
    pub others: usize,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { threads, cores, others } = self;
        let processes = if *others == 1 { "process computes" } else { "processes compute" };
        write!(f, "{threads} of {cores} cores: {others} other {processes} here")
    }
}

/// Sets up the threads for [`compute`]: `requested` of them, otherwise the share of this process; where others cannot
/// be counted, `fallback` or all cores.
///
/// # Errors
/// Internal: the threads cannot be started.
pub fn begin(requested: Option<usize>, fallback: Option<usize>) -> Result<Share> {
    // Code that bypasses `compute` gets a single thread.
    let _ = ThreadPoolBuilder::new().num_threads(1).build_global();
    let mut registration = None;
    let folder = registration::folder();
    let share = share_of(requested, fallback, folder.as_ref(), &mut registration);
    let threads = share.threads;
    let pool = pool_of(threads)
        .map_err(|e| Error::internal(format!("cannot start {threads} threads: {e}. Use --threads 1.")))?;
    let counted_at = Some(Instant::now());
    *state() = Some(State {
        requested,
        fallback,
        folder,
        registration,
        pool,
        peak: threads,
        counted_at,
        pause: FIRST_RECOUNT,
    });
    Ok(share)
}

/// Runs `work` on the threads of this process, on rayon's global pool where [`begin`] was not called.
pub fn compute<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    // Already inside a pool.
    if rayon::current_thread_index().is_some() {
        return work();
    }
    let pool = state().as_mut().map(State::pool);
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Leaves the cores to other processes until the next [`compute`].
pub fn release() {
    if let Some(state) = state().as_mut() {
        (state.registration, state.counted_at) = (None, None);
    }
}

/// A GPU does the computing: one thread feeds it, unless a number was asked for.
pub fn feed_gpu() {
    if let Some(state) = state().as_mut() {
        state.requested = state.requested.or(Some(1));
        state.recount();
        state.peak = state.pool.current_num_threads();
    }
}

/// The largest number of threads that have computed at the same time.
pub fn threads() -> usize {
    state().as_ref().map_or_else(rayon::current_num_threads, |state| state.peak)
}

/// The share of a process that would start now, and an error where it could not count others.
pub fn current_share() -> (Share, std::io::Result<()>) {
    let folder = registration::folder();
    let can_count = folder.as_deref().map_or(Ok(()), registration::check);
    let counted = folder.as_ref().filter(|_| can_count.is_ok());
    (beside(None, &Claim::new(None), counted), can_count)
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pool_of(threads: usize) -> std::result::Result<Arc<ThreadPool>, rayon::ThreadPoolBuildError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("{THREAD_NAME} {n}"));
    pool.build().map(Arc::new)
}

impl State {
    fn pool(&mut self) -> Arc<ThreadPool> {
        if self.counted_at.is_none_or(|at| at.elapsed() >= self.pause) {
            self.recount();
        }
        Arc::clone(&self.pool)
    }

    fn recount(&mut self) {
        let threads =
            share_of(self.requested, self.fallback, self.folder.as_ref(), &mut self.registration).threads;
        if threads != self.pool.current_num_threads()
            // If no more can be started, the present threads carry on.
            && let Ok(pool) = pool_of(threads)
        {
            self.pool = pool;
            self.peak = self.peak.max(threads);
        }
        self.counted_at = Some(Instant::now());
        self.pause = (2 * self.pause).min(RECOUNT_INTERVAL);
    }
}

/// Registers this process, so that others can count it, and counts the others.
fn share_of(
    requested: Option<usize>,
    fallback: Option<usize>,
    folder: Option<&PathBuf>,
    registration: &mut Option<Registration>,
) -> Share {
    let claim = Claim::new(requested);
    // The process may have been bound to other cores since, and somebody may have removed the file.
    if registration.as_ref().is_none_or(|registration| !registration.is_current(&claim)) {
        *registration = folder.and_then(|folder| Registration::new(folder, claim.clone()).ok());
    }
    let mut share = match registration {
        Some(registration) => beside(registration.name().as_ref(), &claim, folder),
        None => beside(None, &claim, None),
    };
    if registration.is_none() {
        share.threads = fallback.unwrap_or(share.threads).max(1);
    }
    share.threads = requested.unwrap_or(share.threads);
    share
}

fn beside(own: Option<&OsString>, claim: &Claim, folder: Option<&PathBuf>) -> Share {
    let others = folder.map_or_else(BTreeMap::new, |folder| registration::others(folder, own, claim));
    let threads = claim::threads(own, &claim.cores, &others);
    Share { threads, cores: claim.cores.len(), others: others.len() }
}
