//! The first SIGINT, SIGTERM or SIGUSR1 (what Slurm can send before its time limit) asks the work to stop where it can
//! be taken up again; the second ends the process at once.

use crate::error::{Error, Result};
use signal_hook::{consts, flag};
use std::sync::{Arc, atomic::AtomicBool};

#[cfg(unix)]
const SIGNALS: &[i32] = &[consts::SIGINT, consts::SIGTERM, consts::SIGUSR1];
#[cfg(not(unix))]
const SIGNALS: &[i32] = &[consts::SIGINT, consts::SIGTERM];

/// A flag that the first signal sets.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let wanted = Arc::new(AtomicBool::new(false));
    for &signal in SIGNALS {
        // In this order: the first signal finds the flag unset and is let pass, then the flag is set.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&wanted))
            .and_then(|_| flag::register(signal, Arc::clone(&wanted)))
            .map_err(|e| Error::internal(format!("cannot listen to signal {signal}: {e}")))?;
    }
    Ok(wanted)
}
