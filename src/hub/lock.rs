//! Locks so that one process downloads a file while others wait, compatible with huggingface_hub (`flock`).

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use super::bar;

/// Held until dropped. It only saves work: without locks, every process downloads the file, and all write the same
/// bytes.
pub(super) struct Lock(#[expect(dead_code, reason = "an open file is what holds the lock")] Option<File>);

impl Lock {
    /// Waits while another process holds it.
    pub(super) fn wait(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            let locked = match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    let waiting = bar::of_waiting();
                    let locked = file.lock();
                    waiting.finish_and_clear();
                    locked
                }
                Err(TryLockError::Error(error)) => Err(error),
                Ok(()) => Ok(()),
            };
            match locked {
                // Python's filelock may remove the file when it is done.
                Ok(()) if is_at(&file, path) => return Ok(Self(Some(file))),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(Self(None)),
            }
        }
    }
}

/// Whether this open file is still the one with this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: io::Result<fs::Metadata>| metadata.map(|it| (it.dev(), it.ino())).ok();
    id(file.metadata()) == id(fs::metadata(path))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}
