//! The first SIGINT, SIGTERM, SIGHUP (the terminal is gone) or SIGUSR1 (what Slurm can send before its time limit) asks the
//! work to stop where it can be taken up again; another one ends the process at once.

use super::output::to_stderr;
use crate::error::{Error, Result};
use signal_hook::{consts, flag};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

#[cfg(unix)]
const SIGNALS: &[i32] = &[consts::SIGINT, consts::SIGTERM, consts::SIGUSR1, consts::SIGHUP];
#[cfg(not(unix))]
const SIGNALS: &[i32] = &[consts::SIGINT, consts::SIGTERM];

/// Whether nobody wants to hear of a terminal that is gone: `nohup` has SIGHUP ignored, and so it stays.
#[cfg(unix)]
fn unheard(signal: i32) -> bool {
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
fn unheard(_: i32) -> bool {
    false
}

/// A file that grows beyond `ulimit -f` is told by the write that fails, as a full disk is, instead of killing the
/// process.
pub fn survive_large_files() {
    #[cfg(unix)]
    {
        // Where that cannot be asked for, all is as it would have been.
        let _ = flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}

/// Signals this soon after the first are one request: `timeout` sends its signal to the process and to its group.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// A flag that the first signal sets.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let (wanted, urgent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for &signal in SIGNALS.iter().filter(|signal| !unheard(**signal)) {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&urgent))
            .and_then(|_| flag::register(signal, Arc::clone(&wanted)))
            .map_err(|e| Error::internal(format!("cannot listen to signal {signal}: {e}")))?;
    }
    let flag = Arc::clone(&wanted);
    thread::spawn(move || {
        while !flag.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(ONE_REQUEST);
        urgent.store(true, Ordering::Relaxed);
        to_stderr("stopping where the work can be taken up again; another signal ends it at once");
    });
    Ok(wanted)
}
