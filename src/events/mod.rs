//! Recording the events of a run: JSON lines in the store, and event files for TensorBoard on request.

pub mod lines;
pub mod tensorboard;

pub use lines::Lines;
pub use tensorboard::TensorBoard;

use crate::train::Event;
use std::{
    io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// About this many steps, and epochs, of a training run are recorded, so that the files of long runs stay small.
const KEPT: u64 = 500;

/// Records events. After an error the work continues without the event; the caller reports it.
pub trait Recorder {
    /// `stage` is the stage that the event is about, or in which it happened.
    fn record(&mut self, stage: Option<&str>, event: &Event) -> io::Result<()>;

    fn path(&self) -> &Path;
}

/// Whether the `n`th of `total` steps or epochs is recorded: the first, the last and evenly spaced ones, the same in
/// every process.
fn is_kept(n: u64, total: u64) -> bool {
    n == 1 || n == total || n.is_multiple_of(total.div_ceil(KEPT).max(1))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// This machine's name.
pub fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// Whether a process of this machine, by its id, is there.
pub fn is_alive(machine: &str, pid: u64) -> bool {
    #[cfg(unix)]
    {
        let id = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        machine == host() && id.is_some_and(|id| rustix::process::test_kill_process(id).is_ok())
    }
    #[cfg(not(unix))]
    {
        let _ = (machine, pid);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_many_steps_are_kept_however_long_a_training_is() {
        let kept = |total: u64| (1..=total).filter(|n| is_kept(*n, total)).collect::<Vec<_>>();
        assert_eq!(kept(0), [0u64; 0]);
        assert_eq!(kept(500), (1..=500).collect::<Vec<_>>());
        assert_eq!(kept(1001)[..4], [1, 3, 6, 9]);
        for total in [501, 9_999, 1_234_567] {
            let kept = kept(total);
            assert!((250..=502).contains(&kept.len()), "{total}: {}", kept.len());
            assert_eq!((kept[0], kept[kept.len() - 1]), (1, total));
        }
    }
}
