//! How many threads compute: as many as were asked for, else a share of the cores.
//!
//! Every process that computes has a [`seat`]: a small locked file in a folder of the machine. Whoever was not told how
//! many threads to use counts the others by it and takes its [`share`], again every two seconds. So processes that know
//! nothing of each other use as many threads together as there are cores, and the last one has all of them. No bit of an
//! outcome depends on it. Where there can be no seat, a process takes all cores.

mod seat;
mod share;

use crate::error::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use seat::Seat;
use share::Claim;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The others are counted this often. Sooner at first: processes are often begun together.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_millis(125);

/// Of the threads that compute, as the system shows them.
const NAME: &str = "compute";

static TEAM: Mutex<Option<Team>> = Mutex::new(None);

/// The threads of this process.
struct Team {
    /// As many as it was told.
    asked: Option<usize>,
    /// As many where nobody can be counted.
    alone: Option<usize>,
    folder: Option<PathBuf>,
    seat: Option<Seat>,
    pool: Arc<ThreadPool>,
    /// The most threads so far.
    most: usize,
    looked: Option<Instant>,
    pause: Duration,
}

/// How a process stands beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub threads: usize,
    /// That it may use.
    pub cores: usize,
    /// Processes that compute on them too.
    pub others: usize,
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { threads, cores, others } = self;
        let processes = if *others == 1 { "process computes" } else { "processes compute" };
        write!(f, "{threads} of {cores} cores: {others} other {processes} here")
    }
}

/// From here on [`compute`] uses `asked` threads, or the share of this process; `alone`, or else all cores, where others
/// cannot be counted.
pub fn begin(asked: Option<usize>, alone: Option<usize>) -> Result<Outlook> {
    // What forgets to ask is to compute on one thread.
    let _ = ThreadPoolBuilder::new().num_threads(1).build_global();
    let mut seat = None;
    let folder = seat::folder();
    let outlook = look(asked, alone, folder.as_ref(), &mut seat);
    let threads = outlook.threads;
    let pool = pool_of(threads)
        .map_err(|e| Error::internal(format!("cannot start {threads} threads: {e}. Use --threads 1.")))?;
    let looked = Some(Instant::now());
    *team() = Some(Team { asked, alone, folder, seat, pool, most: threads, looked, pause: SOON });
    Ok(outlook)
}

/// Runs this on the threads of this process. Where nothing was begun, as in a program that uses this library, on those
/// that rayon has at hand.
pub fn compute<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    // Whoever brought threads is on them already.
    if rayon::current_thread_index().is_some() {
        return work();
    }
    let pool = team().as_mut().map(Team::pool);
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Leaves the cores to others until the next [`compute`].
pub fn leave() {
    if let Some(team) = team().as_mut() {
        (team.seat, team.looked) = (None, None);
    }
}

/// What computes is a GPU: one thread feeds it, unless another number was asked for.
pub fn feed_gpu() {
    if let Some(team) = team().as_mut() {
        team.asked = team.asked.or(Some(1));
        team.look();
        team.most = team.pool.current_num_threads();
    }
}

/// As many as have computed at a time.
pub fn threads() -> usize {
    team().as_ref().map_or_else(rayon::current_num_threads, |team| team.most)
}

/// How a process that began now would stand; an error where it could not count others.
pub fn outlook() -> (Outlook, std::io::Result<()>) {
    let folder = seat::folder();
    let can_count = folder.as_deref().map_or(Ok(()), seat::check);
    let counted = folder.as_ref().filter(|_| can_count.is_ok());
    (beside(None, &Claim::new(None), counted), can_count)
}

fn team() -> MutexGuard<'static, Option<Team>> {
    TEAM.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pool_of(threads: usize) -> std::result::Result<Arc<ThreadPool>, rayon::ThreadPoolBuildError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("{NAME} {n}"));
    pool.build().map(Arc::new)
}

impl Team {
    fn pool(&mut self) -> Arc<ThreadPool> {
        if self.looked.is_none_or(|at| at.elapsed() >= self.pause) {
            self.look();
        }
        Arc::clone(&self.pool)
    }

    fn look(&mut self) {
        let threads = look(self.asked, self.alone, self.folder.as_ref(), &mut self.seat).threads;
        if threads != self.pool.current_num_threads()
            // Where more cannot be started, those that are there go on.
            && let Ok(pool) = pool_of(threads)
        {
            self.pool = pool;
            self.most = self.most.max(threads);
        }
        self.looked = Some(Instant::now());
        self.pause = (2 * self.pause).min(LOOK_AGAIN);
    }
}

/// Sees to it that others can count this process, and counts them.
fn look(
    asked: Option<usize>,
    alone: Option<usize>,
    folder: Option<&PathBuf>,
    seat: &mut Option<Seat>,
) -> Outlook {
    let claim = Claim::new(asked);
    // Who is bound to other cores than before claims those, and a file that somebody removed is made anew.
    if seat.as_ref().is_none_or(|seat| !seat.says(&claim)) {
        *seat = folder.and_then(|folder| Seat::take(folder, claim.clone()).ok());
    }
    let mut outlook = match seat {
        Some(seat) => beside(seat.name().as_ref(), &claim, folder),
        None => beside(None, &claim, None),
    };
    if seat.is_none() {
        outlook.threads = alone.unwrap_or(outlook.threads).max(1);
    }
    outlook.threads = asked.unwrap_or(outlook.threads);
    outlook
}

fn beside(own: Option<&OsString>, claim: &Claim, folder: Option<&PathBuf>) -> Outlook {
    let others = folder.map_or_else(BTreeMap::new, |folder| seat::others(folder, own, claim));
    let threads = share::threads(own, &claim.cores, &others);
    Outlook { threads, cores: claim.cores.len(), others: others.len() }
}
