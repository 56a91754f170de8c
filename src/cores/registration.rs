//! The registration of a computing process: a small file that is locked as long as the process lives.

use super::claim::Claim;
use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Overrides the folder for registrations; empty: processes do not share cores.
const FOLDER: &str = "LOTTERY_SHARE_DIR";

const PREFIX: &str = "lottery-claim-";
/// The number of random letters and digits after the prefix.
const RANDOM: usize = 16;
/// Limits on the number of claims and their size: there are neither more processes nor more cores.
const MOST: usize = 1024;
const LONGEST: u64 = 1 << 16;
/// A new file may be removed as a dead process's before it is locked; then another is tried.
const ATTEMPTS: usize = 16;

/// Where the processes of this machine or container register. `None`: they do not share cores.
pub fn folder() -> Option<PathBuf> {
    match env::var_os(FOLDER) {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => Some(folder.into()),
        None => {
            // In memory, local to the machine and the same for all users; TMPDIR may be none of these.
            let memory = Path::new("/dev/shm");
            let place = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
            Some(place.join("lottery-cores"))
        }
    }
}

/// A claim that others see until this is dropped or the process ends.
pub struct Registration {
    file: NamedTempFile,
    claim: Claim,
}

impl Registration {
    pub fn new(folder: &Path, claim: Claim) -> io::Result<Self> {
        create_folder(folder)?;
        for _ in 0..ATTEMPTS {
            let mut file = create_file(folder)?;
            file.write_all(&serde_json::to_vec(&claim)?)?;
            match file.as_file().try_lock() {
                Ok(()) if file.path().exists() => return Ok(Self { file, claim }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    /// Whether others still see exactly this claim.
    pub fn is_current(&self, claim: &Claim) -> bool {
        self.claim == *claim && self.file.path().exists()
    }

    pub fn name(&self) -> Option<OsString> {
        self.file.path().file_name().map(OsStr::to_owned)
    }
}

/// Whether processes can register in this folder. The file created here is not locked and so counts for nothing.
pub fn check(folder: &Path) -> io::Result<()> {
    create_folder(folder).and_then(|()| create_file(folder)).map(drop)
}

fn create_file(folder: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(PREFIX).rand_bytes(RANDOM).tempfile_in(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Other users must be able to read it, whatever the umask.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    Ok(file)
}

/// Creates the folder for all users, with the permissions of `/tmp`.
fn create_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o1777))?;
            }
            Ok(())
        }
        // A symbolic link may have been planted.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(folder)?.is_dir() {
                true => Ok(()),
                false => Err(ErrorKind::NotADirectory.into()),
            }
        }
        Err(error) => Err(error),
    }
}

/// The claims of other living processes by the names of their files. Files of dead processes are removed.
pub fn others(folder: &Path, own: Option<&OsString>, present: &Claim) -> BTreeMap<OsString, Claim> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let claims = entries.filter(|entry| is_claim(&entry.file_name()) && Some(&entry.file_name()) != own);
    let read = |entry: fs::DirEntry| {
        let file = open(&entry.path()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                // Of another version, say: it is assumed to compute on the same cores.
                let unknown = || Claim { threads: None, cores: present.cores.clone() };
                let mut text = Vec::new();
                let _ = file.take(LONGEST).read_to_end(&mut text);
                Some((entry.file_name(), serde_json::from_slice(&text).unwrap_or_else(|_| unknown())))
            }
            Ok(()) => {
                let _ = fs::remove_file(entry.path());
                None
            }
            Err(TryLockError::Error(_)) => None,
        }
    };
    claims.take(MOST).filter_map(read).filter(|(_, claim)| claim.meets(present)).collect()
}

fn is_claim(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Opens without following links or blocking on pipes, since any user may put things into the folder.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.read(true).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(threads: Option<usize>) -> Claim {
        Claim { threads, cores: (0..4).collect() }
    }

    fn seen(folder: &Path, own: &Registration) -> Vec<Claim> {
        others(folder, own.name().as_ref(), &own.claim).into_values().collect()
    }

    #[test]
    fn claims_are_seen_until_they_are_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let first = Registration::new(&folder, claim(None)).unwrap();
        assert_eq!(seen(&folder, &first), []);
        let second = Registration::new(&folder, claim(Some(3))).unwrap();
        assert_eq!(seen(&folder, &first), [claim(Some(3))]);
        assert_eq!(seen(&folder, &second), [claim(None)]);
        assert!(second.is_current(&claim(Some(3))) && !second.is_current(&claim(None)));
        let elsewhere = Claim { threads: None, cores: (4..8).collect() };
        assert!(others(&folder, None, &elsewhere).is_empty());
        drop(second);
        assert_eq!(seen(&folder, &first), []);
        fs::remove_file(first.file.path()).unwrap();
        assert!(!first.is_current(&claim(None)));
    }

    #[test]
    fn what_dead_processes_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let dead = at("lottery-claim-0123456789abcdef");
        let kept = ["lottery-claim-0123456789abcde", "lottery-claim-results-2024.json", "other"];
        for path in kept.map(at).iter().chain([&dead]) {
            fs::write(path, "").unwrap();
        }
        let own = Registration::new(folder.path(), claim(None)).unwrap();
        assert_eq!(seen(folder.path(), &own), []);
        assert!(!dead.exists() && kept.map(at).iter().all(|path| path.exists()));
        // A claim that cannot be read is one all the same.
        fs::write(&dead, "{").unwrap();
        let living = File::open(&dead).unwrap();
        living.lock().unwrap();
        assert_eq!(seen(folder.path(), &own), [claim(None)]);
    }

    #[cfg(unix)]
    #[test]
    fn what_others_put_there_neither_misleads_nor_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "").unwrap();
        std::os::unix::fs::symlink(at("precious"), at("lottery-claim-aaaaaaaaaaaaaaaa")).unwrap();
        let pipe = at("lottery-claim-bbbbbbbbbbbbbbbb");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
        let own = Registration::new(folder.path(), claim(None)).unwrap();
        assert_eq!(seen(folder.path(), &own), []);
        assert!(at("precious").exists());
        std::os::unix::fs::symlink(folder.path(), at("link")).unwrap();
        assert!(Registration::new(&at("link"), claim(None)).is_err());
        assert!(check(&at("precious")).is_err() && check(&at("missing/below")).is_err());
    }
}
