//! Files that appear whole or not at all, and survive a power cut once they are there.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::error::{Error, Result};

/// Names of temporary files begin with this; no reader takes them for data.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Writes the file, creating its folder: temporary file beside it, fsync, rename, fsync of the folder.
///
/// A failure (a full disk, a missing permission) is a data error, and the old file is still there.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic_write_with(path, |out| out.write_all(bytes))
}

/// [`atomic_write`] for what is too big to hold in memory as bytes.
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
    // A temporary file is private by default, and a store is often shared within a group: leave it to the umask.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // Removed again on every way out but `persist`.
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

/// Makes renames and removals in this folder lasting, where the file system can: some have no such thing for folders,
/// and a folder may be one to write and not to read.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        Err(error) if !is_only_unsupported(&error) => return Err(error),
        _ => {}
    }
    Ok(())
}

/// Makes a file's content lasting, where the file system can.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        #[cfg(unix)]
        Err(error) if is_only_unsupported(&error) && error.kind() != io::ErrorKind::PermissionDenied => {
            Ok(())
        }
        synced => synced,
    }
}

/// Of fsync: that there is none, in the words of Linux, of network file systems and of FUSE. Data that could not be
/// written is told by others (EIO, ENOSPC, EDQUOT).
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
