//! The first SIGINT, SIGTERM, SIGHUP (terminal closed) or SIGUSR1 (which Slurm can send before its time limit) asks the
//! work to stop where it can be resumed; a second one ends the process at once.

use super::{output::to_stderr, terminal::end_bar};
use crate::error::{Error, Result};
use signal_hook::{consts, flag, low_level};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

#[cfg(unix)]
const SIGNALS: &[i32] = &[consts::SIGINT, consts::SIGTERM, consts::SIGUSR1, consts::SIGHUP];
#[cfg(not(unix))]
const SIGNALS: &[i32] = &[consts::SIGINT, consts::SIGTERM];

/// Whether this is SIGHUP and the parent has set it to be ignored, as `nohup` does: it stays ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    if signal != consts::SIGHUP {
        return false;
    }
    // SAFETY: all fields of the structure may be zero, and without a new action the call only writes the present one to it.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}

/// Makes a write beyond `ulimit -f` fail like one to a full disk, instead of killing the process.
pub fn survive_large_files() {
    #[cfg(unix)]
    {
        // If the handler cannot be installed, the default behaviour stays.
        let _ = flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}

/// Signals within this time of the first one count as the same request: `timeout` signals both the process and its
/// group.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// How often it is looked whether a signal has come.
const INTERVAL: Duration = Duration::from_millis(50);

/// A flag that is set by the first signal.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for &signal in SIGNALS.iter().filter(|signal| !is_ignored(**signal)) {
        flag::register_usize(signal, Arc::clone(&last), signal.unsigned_abs() as usize)
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| Error::internal(format!("cannot handle signal {signal}: {e}")))?;
    }
    let again = Arc::clone(&last);
    let wait = move || loop {
        match last.swap(0, Ordering::Relaxed) {
            0 => thread::sleep(INTERVAL),
            signal => return signal,
        }
    };
    thread::spawn(move || {
        wait();
        thread::sleep(ONE_REQUEST);
        again.store(0, Ordering::Relaxed);
        to_stderr(
            "stopping at the next point from which the work can resume; another signal stops it at once",
        );
        let signal = wait();
        end_bar();
        low_level::exit(128 + signal as i32);
    });
    Ok(stop)
}
