//! Atomic, durable writes: a file appears whole or not at all, and survives a power cut.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::error::{Error, Result};

/// Prefix of the names of temporary files, which no reader takes for data.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Writes the file, creating its folder if need be: temporary file beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// Data: a full disk, a missing permission. The old file, if any, is left as it was.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic_write_with(path, |out| out.write_all(bytes))
}

/// [`atomic_write`] for content that is too big to hold in memory.
pub fn atomic_write_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| Error::io(parent, "create", &error))?;
    write(path, parent, fill).map_err(|error| Error::io(path, "write", &error))
}

fn write(path: &Path, parent: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Temporary files are private by default, but stores are often shared within a group: leave permissions to the umask.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // Removed when dropped, unless `persist` succeeds.
    let temporary = builder.tempfile_in(parent)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    sync(temporary.as_file())?;
    temporary.persist(path).map_err(|refused| refused.error)?;
    sync_folder(parent)
}

/// Removes a file; one that is gone already is no error.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove", &e)),
        _ => Ok(()),
    }
}

/// Makes renames and removals in this folder durable. Some file systems cannot sync folders, and a folder may be
/// writable but not readable: neither is an error.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        Err(error) if !is_only_unsupported(&error) => return Err(error),
        _ => {}
    }
    Ok(())
}

/// Makes a file's content durable, where the file system can.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        #[cfg(unix)]
        Err(error) if is_only_unsupported(&error) && error.kind() != io::ErrorKind::PermissionDenied => {
            Ok(())
        }
        synced => synced,
    }
}

/// Whether fsync is merely unsupported, by the error codes of Linux, network file systems and FUSE. Failures to write
/// data have other codes (EIO, ENOSPC, EDQUOT).
#[cfg(unix)]
fn is_only_unsupported(error: &io::Error) -> bool {
    let none =
        [libc::EINVAL, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS, libc::EBADF, libc::EACCES, libc::EPERM];
    error.raw_os_error().is_some_and(|code| none.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file.json");
        atomic_write(&path, b"one").unwrap();
        atomic_write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["file.json"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_synced_is_no_error_and_one_that_is_not_there_is() {
        // The kernel's own folders have no fsync.
        let proc = Path::new("/proc/self");
        assert_eq!(File::open(proc).unwrap().sync_all().unwrap_err().raw_os_error(), Some(libc::EINVAL));
        sync_folder(proc).unwrap();
        sync(&File::open(proc).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        sync_folder(folder.path()).unwrap();
        assert!(sync_folder(&folder.path().join("none")).is_err());
        for code in [libc::EINVAL, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS, libc::EBADF, libc::EACCES] {
            assert!(is_only_unsupported(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for code in [libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::ENOENT, libc::EROFS, libc::ESTALE] {
            assert!(!is_only_unsupported(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_is_as_readable_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let (plain, atomic) = (folder.path().join("plain"), folder.path().join("atomic"));
        fs::write(&plain, "").unwrap();
        atomic_write(&atomic, b"").unwrap();
        assert_eq!(mode(&plain), mode(&atomic));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_write_that_the_kernel_refuses_as_full_keeps_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        atomic_write(&path, b"old").unwrap();
        let error = atomic_write_with(&path, |out| {
            out.write_all(&vec![1; 3 << 20])?;
            File::options().write(true).open("/dev/full")?.write_all(b"x")
        })
        .unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let message = error.to_string();
        assert!(message.contains("model.safetensors") && message.contains("Free some space"), "{message}");
        assert_eq!(names(folder.path()), ["model.safetensors"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
