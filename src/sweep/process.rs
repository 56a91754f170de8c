//! The processes of runs: how they are asked to stop, and why they ended.

use crate::{error::message, file};
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::{Child, ExitStatus},
};

/// Why a run failed is said at the end of its log.
const LONGEST: u64 = 1 << 20;

/// Whether the signal of [`terminate`] ended it.
pub(super) fn was_terminated(status: ExitStatus) -> bool {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return signal == rustix::process::Signal::TERM.as_raw();
    }
    false
}

/// Asks a run's process to stop where it can be taken up again.
pub(super) fn terminate(child: &Child) {
    #[cfg(unix)]
    if let Some(id) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It has not been waited for, so the id is its own; it may have ended by itself.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = child;
}

/// The first line of what a process said before it failed.
pub(super) fn reason(log: &Path, from: u64, status: ExitStatus) -> String {
    let mut said = Vec::new();
    let read = file::open(log).and_then(|mut file| {
        // Its end, should it be a very long one.
        let from = from.max(file.metadata()?.len().saturating_sub(LONGEST));
        file.seek(SeekFrom::Start(from))?;
        file.take(LONGEST).read_to_end(&mut said)
    });
    let said = read.map(|_| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default();
    let error = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let panic = || said.lines().rev().find(|line| line.contains(" panicked at "));
    let killed = || -> Option<String> {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Some(format!("its process was killed by signal {signal}"));
        }
        None
    };
    error
        .or_else(panic)
        .map(|line| message(line).into_owned())
        .or_else(killed)
        .unwrap_or_else(|| format!("its process ended with {status} and said nothing"))
}
