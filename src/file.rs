//! Opening and reading files that anybody may have created: never blocks on a named pipe, never reads beyond a limit.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    path::Path,
};

use crate::error::{Error, Result};

/// A limit for JSON files of a store: records, manifests, sweeps, states.
pub const LARGEST_JSON: u64 = 64 << 20;

/// Opens a regular file for reading. Anything else (a folder, pipe, socket or device) is an immediate error.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a pipe without a writer would block.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    must_be_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file of the store for appending, creating it if need be. A symbolic link in its place is an error,
/// since its target may lie outside the store.
pub fn append(path: &Path) -> io::Result<File> {
    let file = no_follow(File::options().read(true).append(true).create(true)).open(path)?;
    must_be_regular(&file.metadata()?)?;
    Ok(file)
}

/// [`append`] for writing in place.
pub fn open_to_write(path: &Path, create: bool) -> io::Result<File> {
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
        io::Error::other(format!("it has {size} bytes, more than the limit of {limit} for such a file"))
    };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(0)).map_err(io::Error::other)?;
    // The file may grow meanwhile, and files of the kernel claim to be empty.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// The whole of a regular file, whatever its size.
///
/// # Errors
/// Data: it cannot be read, or is not a regular file.
pub fn read_all(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| Error::io(path, "read", &error))?;
    Ok(bytes)
}

/// [`read`] of a JSON file of the store; `None` if there is none.
///
/// # Errors
/// Data: it cannot be read.
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
        assert_eq!(read_all(&path).unwrap(), b"12345");
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
            assert!(read(path, 9).is_err() && read_all(path).is_err(), "{}", path.display());
        }
        assert!(open(&pipe).unwrap_err().to_string().contains("it is a named pipe"));
        for path in [&pipe, &link, &socket] {
            assert!(append(path).is_err() && open_to_write(path, true).is_err(), "{}", path.display());
        }
    }
}
