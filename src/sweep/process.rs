//! The processes of runs: stopping them, and finding out why they ended.

use crate::{error::message, file};
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::{Child, ExitStatus},
};

/// How much of the end of a log is searched for the reason of a failure.
const TAIL_BYTES: u64 = 1 << 20;

/// Whether the signal of [`terminate`] ended it.
pub(super) fn was_terminated(status: ExitStatus) -> bool {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return signal == rustix::process::Signal::TERM.as_raw();
    }
    false
}

/// Tells a run's process to write a checkpoint and stop.
pub(super) fn terminate(child: &Child) {
    #[cfg(unix)]
    if let Some(id) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // The process has not been waited for, so the id is still its own; an error means that it has ended already.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = child;
}

/// The first line of a failed process's error message.
pub(super) fn reason(log: &Path, from: u64, status: ExitStatus) -> String {
    let mut text = Vec::new();
    let read = file::open(log).and_then(|mut file| {
        // Only the end of a very long log.
        let from = from.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(from))?;
        file.take(TAIL_BYTES).read_to_end(&mut text)
    });
    let text = read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let panic = || text.lines().rev().find(|line| line.contains(" panicked at "));
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
        .unwrap_or_else(|| format!("its process ended with {status} without an error message"))
}
