//! Reading files that anybody may have put there: never waits for a named pipe, never reads more than a bound.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    path::Path,
};

use crate::error::{Error, Result};

/// More than any JSON file of a store has: records, manifests, plans of sweeps, states.
pub const LARGEST_JSON: u64 = 64 << 20;

/// Opens a regular file for reading. What is none (a folder, a pipe, a socket, a device) is an error, at once.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe that nobody writes to would be waited for.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    must_be_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file of the store's own to add to it, creating it where there is none. A link in its place is an
/// error: what it points to is nobody's to write.
pub fn append(path: &Path) -> io::Result<File> {
    let file = no_follow(File::options().read(true).append(true).create(true)).open(path)?;
    must_be_regular(&file.metadata()?)?;
    Ok(file)
}

/// The same to write in place.
pub(super) fn open_to_write(path: &Path, create: bool) -> io::Result<File> {
    let file = no_follow(File::options().read(true).write(true).create(create).truncate(false)).open(path)?;
    must_be_regular(&file.metadata()?)?;
    Ok(file)
}

fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    options
}

/// The whole of a regular file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    let too_large = |size: u64| {
        io::Error::other(format!("it has {size} bytes, where at most {limit} are expected in such a file"))
    };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(0)).map_err(io::Error::other)?;
    // It may grow meanwhile, and files of the kernel's say that they are empty.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// [`read`] of a file of the store; `None` where there is none. Anything else that fails is a data error.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match read(path, LARGEST_JSON) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read", &error)),
    }
}

fn must_be_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    let what = {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        match () {
            () if kind.is_dir() => "a folder",
            () if kind.is_fifo() => "a named pipe",
            () if kind.is_socket() => "a socket",
            () if kind.is_block_device() || kind.is_char_device() => "a device",
            () => "something else",
        }
    };
    #[cfg(not(unix))]
    let what = if metadata.is_dir() { "a folder" } else { "something else" };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err();
        assert!(error.to_string().contains("5 bytes"), "{error}");
        assert_eq!(read_if_there(&path).unwrap().unwrap(), b"12345");
        assert!(read_if_there(&folder.path().join("none")).unwrap().is_none());
        let error = read_if_there(folder.path()).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("it is a folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_sockets_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&*pipe, &*link, &*socket, Path::new("/dev/null"), Path::new("/dev/zero")] {
            assert!(open(path).is_err(), "{}", path.display());
            assert!(read(path, 9).is_err(), "{}", path.display());
        }
        assert!(open(&pipe).unwrap_err().to_string().contains("it is a named pipe"));
        for path in [&pipe, &link, &socket] {
            assert!(append(path).is_err() && open_to_write(path, true).is_err(), "{}", path.display());
        }
    }
}
