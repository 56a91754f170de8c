//! Locks that hold between processes of one machine and between machines that share a folder.
//!
//! On one machine the lock is the system's (`flock`): it dies with its process, whatever kills it. Some shared file
//! systems keep such locks to each machine, so whoever holds one also keeps a lease beside it: a file with a name of
//! its own that it writes anew again and again. Another machine takes the lease over when it has watched it for
//! [`patience`] without a change. Only the watcher's own stopwatch counts; clocks may differ and jump.

use super::links::is_link;
use super::{deserialize_name, locks, regular};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{ErrorKind, Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Signs of life within [`patience`]: several may be lost.
const BEATS: u32 = 6;

const USUAL_PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_PATIENCE: f64 = 86400.0;

/// A lease is one line; whatever is longer is none.
const LONGEST_LEASE: u64 = 1 << 16;

/// How long a holder on another machine may give no sign of life: `LOTTERY_LEASE` seconds, or 60.
///
/// Usage error: something else than a number from 1 to 86400.
pub fn patience() -> Result<Duration> {
    let Some(typed) = std::env::var_os("LOTTERY_LEASE").filter(|typed| !typed.is_empty()) else {
        return Ok(USUAL_PATIENCE);
    };
    let seconds =
        typed.to_str().and_then(|typed| typed.parse().ok()).filter(|s| (1.0..=LONGEST_PATIENCE).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        Error::usage(format!(
            "LOTTERY_LEASE is {}, no number of seconds from 1 to 86400. Mend it, or unset it for 60.",
            typed.display()
        ))
    })
}

/// Who holds a lease, as its file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// For people.
    pub host: String,
    pub process: u32,
    /// What tells a running system from others, and from itself before it was started anew.
    machine: String,
    /// Of this lease alone; part of the names of files beside it.
    #[serde(deserialize_with = "deserialize_name")]
    name: String,
    /// Seconds without a beat after which it may be taken over; the holder's own, wherever it is watched.
    patience: f64,
    beat: u64,
}

impl Holder {
    fn this(machine: &str, patience: Duration) -> Self {
        Self {
            host: hostname(),
            process: std::process::id(),
            machine: machine.to_owned(),
            name: nonce(),
            patience: patience.as_secs_f64(),
            beat: 0,
        }
    }

    /// The holder by the lease beside this lock, if there is a whole one.
    fn of(lock: &Path) -> Option<Self> {
        holder_in(&lease_path(lock))
    }

    /// Whether it is one of another machine, about which the system's own locks need not know, and gave a sign of life
    /// of late. By the clocks of both machines: good enough to be shown, not to take a lock over.
    fn lives_elsewhere(&self, lock: &Path) -> bool {
        let beaten = fs::metadata(lease_path(lock)).and_then(|file| file.modified()).ok();
        let age = beaten.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        self.machine != this_machine() && age <= 2 * self.patience()
    }

    /// As the file says, where that can be.
    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience.clamp(0.0, LONGEST_PATIENCE))
    }
}

/// Whether some process holds or shares this lock, here or, by the clocks of both, on another machine. Nothing is
/// created.
pub fn is_held(lock: &Path) -> bool {
    locks::is_held(lock) || Holder::of(lock).is_some_and(|holder| holder.lives_elsewhere(lock))
}

/// A lock that is wanted.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    lease: PathBuf,
    machine: String,
    patience: Duration,
    /// What another machine's lease said when it last changed, and when that was seen.
    watched: Option<(Vec<u8>, Instant)>,
    /// Since when another process seems to take it over, and how many died over that.
    contested: (Option<Instant>, u32),
}

impl Lock {
    pub fn at(path: &Path) -> Result<Self> {
        Ok(Self::of(path, lease_path(path), this_machine(), patience()?))
    }

    fn of(path: &Path, lease: PathBuf, machine: &str, patience: Duration) -> Self {
        let (path, machine) = (path.to_owned(), machine.to_owned());
        Self { path, lease, machine, patience, watched: None, contested: (None, 0) }
    }

    /// The lease when it can be had now; asked again and again, one that a dead machine left is taken over.
    pub fn take(&mut self) -> Result<Option<Lease>> {
        let Some(file) = locks::try_exclusive(&self.path)? else { return Ok(None) };
        // Where the file system has no such locks, the lease alone tells.
        let told = file.try_lock().is_ok();
        let found = match regular::read(&self.lease, LONGEST_LEASE) {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::NotFound && !is_link(&self.lease) => {
                let own = Own::new(&self.lease, Holder::this(&self.machine, self.patience))?;
                return if own.place(&self.lease)? {
                    own.begin(file, &self.lease).map(Some)
                } else {
                    Ok(None)
                };
            }
            Err(e) => return Err(no_lease(&self.lease, &e)),
        };
        let earlier: Option<Holder> = serde_json::from_slice(&found).ok();
        // Whoever of this machine has written here and does not hold the system's lock is dead.
        let machine = self.machine.clone();
        let dead_here =
            |holder: &Option<Holder>| told && holder.as_ref().is_some_and(|holder| holder.machine == machine);
        let here = dead_here(&earlier);
        let patience = earlier.as_ref().map_or(self.patience, Holder::patience);
        if !self.watched_for(patience, &found) && !here {
            return Ok(None);
        }
        // Of all who saw this holder die one places this file; should it die over that too, one places the next.
        let name = earlier.map_or("nobody".into(), |earlier| earlier.name);
        let token = |n: u32| self.lease.with_extension(format!("after-{name}-{n}"));
        let own = Own::new(&self.lease, Holder::this(&self.machine, self.patience))?;
        let (since, dead) = &mut self.contested;
        if !own.place(&token(*dead))? {
            let other = holder_in(&token(*dead));
            if dead_here(&other) || since.get_or_insert_with(Instant::now).elapsed() > patience {
                (*since, *dead) = (None, *dead + 1);
            }
            return Ok(None);
        }
        let unchanged = regular::read(&self.lease, LONGEST_LEASE).ok() == Some(found);
        let taken = if unchanged { own.replace(file, &self.lease).map(Some) } else { Ok(None) };
        // From now on the lease is another than whoever comes too late has seen.
        (0..=*dead).for_each(|n| drop(fs::remove_file(token(n))));
        (self.watched, self.contested) = (None, (None, 0));
        taken
    }

    fn watched_for(&mut self, patience: Duration, found: &[u8]) -> bool {
        match &self.watched {
            Some((seen, since)) if seen == found => since.elapsed() >= patience,
            _ => {
                self.watched = Some((found.to_owned(), Instant::now()));
                self.contested = (None, 0);
                false
            }
        }
    }
}

/// A lease that is written and not yet in its place: whoever sees it there sees it whole.
struct Own {
    path: PathBuf,
    holder: Holder,
}

impl Own {
    fn new(lease: &Path, holder: Holder) -> Result<Self> {
        let path = lease.with_extension(format!("of-{}", holder.name));
        let new = File::options().read(true).write(true).create_new(true).open(&path);
        new.and_then(|mut file| write(&mut file, &holder)).map_err(|e| Error::io(&path, "write", &e))?;
        Ok(Self { path, holder })
    }

    /// Also at this place, unless there is something.
    fn place(&self, at: &Path) -> Result<bool> {
        let placed = match fs::hard_link(&self.path, at) {
            Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                // A file system without links: seen empty for a moment.
                let new = File::options().write(true).create_new(true).open(at);
                new.and_then(|mut file| write(&mut file, &self.holder))
            }
            linked => linked,
        };
        match placed {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(Error::io(at, "write", &e)),
        }
    }

    fn replace(self, file: File, lease: &Path) -> Result<Lease> {
        fs::rename(&self.path, lease).map_err(|e| Error::io(lease, "write", &e))?;
        self.begin(file, lease)
    }

    /// From its place, `lease`, on.
    fn begin(self, file: File, lease: &Path) -> Result<Lease> {
        // As it was placed: without links that is another file.
        let placed = regular::open_to_write(lease, false).map_err(|e| Error::io(lease, "write", &e))?;
        Lease::begin(file, placed, lease.to_owned(), self.holder.clone())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A lock that is held, until this is dropped or the process dies.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
    name: String,
    lost: Arc<AtomicBool>,
    stop: Option<mpsc::Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Lease {
    fn begin(file: File, mut lease: File, path: PathBuf, mut holder: Holder) -> Result<Self> {
        let (name, lost) = (holder.name.clone(), Arc::new(AtomicBool::new(false)));
        let (stop, stopped) = mpsc::channel();
        let beats = {
            let (path, lost) = (path.clone(), Arc::clone(&lost));
            let pause = Duration::from_secs_f64(holder.patience) / BEATS;
            let beat = move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
                    if is_of_another(&path, &holder.name) {
                        lost.store(true, Ordering::Relaxed);
                        return;
                    }
                    // Through the file as it was opened: whoever takes over puts another in its place. A beat that
                    // cannot be written, on a full disk say, is made up for by the next.
                    holder.beat += 1;
                    let _ = write(&mut lease, &holder);
                }
            };
            thread::Builder::new().name("lease".into()).spawn(beat)
        };
        let beats = beats.map_err(|e| Error::internal(format!("cannot start a thread: {e}")))?;
        Ok(Self { file, path, name, lost, stop: Some(stop), beats: Some(beats) })
    }

    /// The locked file: whoever has it open keeps the system's lock.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A data error when another machine has taken over, because this one gave no sign of life: it was asleep, or cut
    /// off from the store.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) || is_of_another(&self.path, &self.name) {
            let by = Holder::of(&self.path.with_extension("")).map_or("another machine".into(), |h| h.host);
            return Err(Error::data(format!(
                "{by} took over {} while this process gave no sign of life. What it computes is not lost: run the same \
                 command again to load it.",
                self.path.display()
            )));
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.beats.take().into_iter().for_each(|beats| drop(beats.join()));
        if !is_of_another(&self.path, &self.name) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// One line of a fixed length, so that a beat never leaves a part of the one before. A reader that meets it half
/// written takes it for a change, which it is.
fn write(lease: &mut File, holder: &Holder) -> std::io::Result<()> {
    let text = serde_json::to_string(holder)?;
    lease.rewind()?;
    lease.write_all(format!("{text:<400}\n").as_bytes())?;
    // Not for a power cut, but for other machines to see.
    if holder.beat > 0 { lease.sync_data() } else { Ok(()) }
}

/// Whether a whole lease of another name lies there. One that cannot be read may still be its own.
fn is_of_another(path: &Path, name: &str) -> bool {
    holder_in(path).is_some_and(|holder| holder.name != name)
}

fn holder_in(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&regular::read(path, LONGEST_LEASE).ok()?).ok()
}

/// What lies in a lease's place can be no lease, and would be waited for without end.
fn no_lease(path: &Path, error: &std::io::Error) -> Error {
    Error::data(format!(
        "{} is in the place of a lease and cannot be read as one: {error}. Remove it, and run the same command again.",
        path.display()
    ))
}

pub(super) fn lease_path(lock: &Path) -> PathBuf {
    let mut path = lock.as_os_str().to_owned();
    path.push(".lease");
    path.into()
}

/// The running system's own id where there is one (Linux); elsewhere the machine's name.
fn this_machine() -> &'static str {
    static MACHINE: OnceLock<String> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map_or_else(|_| hostname(), |id| id.trim().to_owned())
    })
}

fn hostname() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// A name that no other lease has: the system's randomness, through the hasher that every map is seeded with.
fn nonce() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one((std::process::id(), Instant::now())))
}

#[cfg(test)]
mod tests;
