//! Locks between processes on one machine and between machines that share a folder.
//!
//! On one machine the lock is the system's (`flock`): it dies with its process, however that ends. Some shared file
//! systems do not see such locks across machines, so the holder also keeps a lease beside the lock: a file with a
//! unique name in it, which the holder keeps rewriting (its heartbeat). Another machine takes the lease over once it
//! has watched it for [`patience`] without a change. Only the watcher's monotonic clock counts; wall clocks may differ
//! and jump.

use super::links::is_link;
use super::{deserialize_name, locks};
use crate::{
    error::{Error, Result},
    file,
};
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

/// Heartbeats within [`patience`], so that several may be lost.
const BEATS: u32 = 6;

const USUAL_PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_PATIENCE: f64 = 86400.0;

/// A lease is one line; a longer file is not a lease.
const LONGEST_LEASE: u64 = 1 << 16;

/// How long a holder on another machine may go without a heartbeat: `LOTTERY_LEASE` seconds, by default 60.
///
/// # Errors
/// Usage: not a number from 1 to 86400.
pub fn patience() -> Result<Duration> {
    let Some(typed) = std::env::var_os("LOTTERY_LEASE").filter(|typed| !typed.is_empty()) else {
        return Ok(USUAL_PATIENCE);
    };
    let seconds =
        typed.to_str().and_then(|typed| typed.parse().ok()).filter(|s| (1.0..=LONGEST_PATIENCE).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        Error::usage(format!(
            "LOTTERY_LEASE is {}, not a number of seconds from 1 to 86400. Correct it, or unset it for 60 seconds.",
            typed.display()
        ))
    })
}

/// The holder of a lease, as written in its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// For messages.
    pub host: String,
    pub process: u32,
    /// Identifies the running system; a reboot changes it.
    machine: String,
    /// Unique to this lease; part of the names of files beside it.
    #[serde(deserialize_with = "deserialize_name")]
    name: String,
    /// Seconds without a heartbeat after which it may be taken over, as set by the holder.
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

    /// The holder named in the lease beside this lock, if the lease is intact.
    fn of(lock: &Path) -> Option<Self> {
        holder_in(&lease_path(lock))
    }

    /// Whether the holder is on another machine, whose locks may be invisible here, and had a recent heartbeat. This compares
    /// the clocks of both machines: good enough for display, not for taking a lock over.
    fn lives_elsewhere(&self, lock: &Path) -> bool {
        let beaten = fs::metadata(lease_path(lock)).and_then(|file| file.modified()).ok();
        let age = beaten.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        self.machine != this_machine() && age <= 2 * self.patience()
    }

    /// The holder's patience, within bounds.
    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience.clamp(0.0, LONGEST_PATIENCE))
    }
}

/// Whether some process holds or shares this lock, on this or another machine; for display, since it compares their
/// clocks. Nothing is created.
pub fn is_held(lock: &Path) -> bool {
    locks::is_held(lock) || Holder::of(lock).is_some_and(|holder| holder.lives_elsewhere(lock))
}

/// A lock to be taken.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    lease: PathBuf,
    machine: String,
    patience: Duration,
    /// The content of another machine's lease when it last changed, and when that was seen.
    watched: Option<(Vec<u8>, Instant)>,
    /// Since when another process seems to be taking it over, and how many have died doing so.
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

    /// Takes the lock if it is free. A lease left by a dead machine is taken over after repeated calls.
    pub fn take(&mut self) -> Result<Option<Lease>> {
        let Some(file) = locks::try_exclusive(&self.path)? else { return Ok(None) };
        // On a file system without locks, only the lease counts.
        let has_locks = file.try_lock().is_ok();
        let found = match file::read(&self.lease, LONGEST_LEASE) {
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
        // A holder on this machine that does not hold the system's lock is dead.
        let machine = self.machine.clone();
        let dead_here = |holder: &Option<Holder>| {
            has_locks && holder.as_ref().is_some_and(|holder| holder.machine == machine)
        };
        let here = dead_here(&earlier);
        let patience = earlier.as_ref().map_or(self.patience, Holder::patience);
        if !self.watched_for(patience, &found) && !here {
            return Ok(None);
        }
        // Of all processes that saw this holder die, one places this token; if that one dies too, one places the next.
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
        let unchanged = file::read(&self.lease, LONGEST_LEASE).ok() == Some(found);
        let taken = if unchanged { own.replace(file, &self.lease).map(Some) } else { Ok(None) };
        // The lease has changed from what latecomers have seen, so they do not take it over.
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

/// A lease that is written but not yet in place, so that it appears there whole.
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

    /// Links it to this path; false if there is a file already.
    fn place(&self, at: &Path) -> Result<bool> {
        let placed = match fs::hard_link(&self.path, at) {
            Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                // A file system without hard links: the file is visible while still empty for a moment.
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

    /// Starts the heartbeat of the lease in its place.
    fn begin(self, file: File, lease: &Path) -> Result<Lease> {
        // Opened anew: without hard links it is another file.
        let placed = file::open_to_write(lease, false).map_err(|e| Error::io(lease, "write", &e))?;
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
                    // Through the open file: a process that takes over puts another file in its place. If a heartbeat
                    // cannot be written, on a full disk say, the next one makes up for it.
                    holder.beat += 1;
                    let _ = write(&mut lease, &holder);
                }
            };
            thread::Builder::new().name("lease".into()).spawn(beat)
        };
        let beats = beats.map_err(|e| Error::internal(format!("cannot start a thread: {e}")))?;
        Ok(Self { file, path, name, lost, stop: Some(stop), beats: Some(beats) })
    }

    /// The locked file, which keeps the system's lock as long as any process has it open.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// # Errors
    /// Data: another machine has taken over because this one had no heartbeat, being suspended or cut off from the store.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) || is_of_another(&self.path, &self.name) {
            let by = Holder::of(&self.path.with_extension("")).map_or("another machine".into(), |h| h.host);
            return Err(Error::data(format!(
                "{by} took over {} because this process had no heartbeat. The result is not lost: run the same command \
                 again to load it.",
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

/// One line of a fixed length, so that a heartbeat overwrites all of the one before. A reader that sees it half written
/// takes it for a change, which is right.
fn write(lease: &mut File, holder: &Holder) -> std::io::Result<()> {
    let text = serde_json::to_string(holder)?;
    lease.rewind()?;
    lease.write_all(format!("{text:<400}\n").as_bytes())?;
    // For other machines to see it, not for durability.
    if holder.beat > 0 { lease.sync_data() } else { Ok(()) }
}

/// Whether an intact lease with another name is there. One that cannot be read may still be our own.
fn is_of_another(path: &Path, name: &str) -> bool {
    holder_in(path).is_some_and(|holder| holder.name != name)
}

fn holder_in(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&file::read(path, LONGEST_LEASE).ok()?).ok()
}

/// The error for something in a lease's place that is no lease and would be waited for forever.
fn no_lease(path: &Path, error: &std::io::Error) -> Error {
    Error::data(format!(
        "{} should be a lease but cannot be read as one: {error}. Remove it, and run the same command again.",
        path.display()
    ))
}

pub(super) fn lease_path(lock: &Path) -> PathBuf {
    let mut path = lock.as_os_str().to_owned();
    path.push(".lease");
    path.into()
}

/// The id of the running system (Linux), elsewhere the machine's name.
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

/// A name unique to a lease, from the system's randomness that seeds the hasher of every map.
fn nonce() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one((std::process::id(), Instant::now())))
}

#[cfg(test)]
mod tests;
