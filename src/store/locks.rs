//! File locks, which die with their process.
//!
//! The garbage collector removes lock files that nobody holds. So a lock counts only if its file still has its name:
//! otherwise two processes could hold locks on two different files of the same name.

use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind},
    path::Path,
};

use crate::{
    error::{Error, Result},
    file,
};

/// Takes the lock; `None` while another process holds or shares it.
pub(super) fn try_exclusive(path: &Path) -> Result<Option<File>> {
    attempt(path, File::try_lock)
}

/// Shares the lock; `None` while another process holds it exclusively.
pub(super) fn try_shared(path: &Path) -> Result<Option<File>> {
    attempt(path, File::try_lock_shared)
}

/// Whether some process holds or shares it; nothing is created.
pub(super) fn is_held(path: &Path) -> bool {
    let file = file::open_to_write(path, false);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn attempt(
    path: &Path,
    lock: impl Fn(&File) -> std::result::Result<(), TryLockError>,
) -> Result<Option<File>> {
    let failed = |error: &io::Error| Error::io(path, "lock", error);
    loop {
        // Readable too: a sweep passes a lock to its run's process as stdin.
        let file = file::open_to_write(path, true);
        let file = file.map_err(|error| failed(&error))?;
        match lock(&file) {
            Ok(()) if is_at(&file, path).map_err(|error| failed(&error))? => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            // A file system without locks: only leases count.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
    }
}

/// Whether the file system has no locks, as NFS without its lock service.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

/// Whether this open file is still the one with this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((own.dev(), own.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// These systems do not reuse a name while a file of that name is open.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_alone_or_several_share() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path) && !path.exists());
        let alone = try_exclusive(&path).unwrap().unwrap();
        assert!(is_held(&path) && try_shared(&path).unwrap().is_none());
        drop(alone);
        let shared = [try_shared(&path).unwrap().unwrap(), try_shared(&path).unwrap().unwrap()];
        assert!(is_held(&path) && try_exclusive(&path).unwrap().is_none());
        drop(shared);
        assert!(!is_held(&path));
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_whose_file_was_removed_is_not_that_of_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let early = File::create(&path).unwrap();
        // Removed under its lock, and made anew by somebody else.
        let cleared = try_exclusive(&path).unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        drop(cleared);
        assert!(!is_at(&early, &path).unwrap());
        let _new = try_exclusive(&path).unwrap().unwrap();
        assert!(early.try_lock().is_ok() && !is_at(&early, &path).unwrap());
    }
}
