//! The layout of the hub's cache, which Python's `huggingface_hub` reads and writes too:
//!
//! ```text
//! models--owner--name/refs/main                          the commit
//! models--owner--name/snapshots/<commit>/config.json     -> ../../blobs/<etag>
//! models--owner--name/blobs/<etag>                       the content
//! models--owner--name/blobs/<etag>.incomplete            the part downloaded so far
//! .locks/models--owner--name/<etag>.lock
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use super::{
    lock::Lock,
    name::{Commit, Etag, Repo, file_parts, is_component},
};

/// One repository's part of the cache.
pub(super) struct RepoCache {
    dir: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    pub(super) fn new(cache: &Path, repo: &Repo) -> Self {
        let folder = format!("{}--{}--{}", repo.kind.folder_prefix, repo.owner, repo.name);
        Self { dir: cache.join(&folder), locks: cache.join(".locks").join(folder) }
    }

    /// The snapshot of a branch or tag, as cached, or of a commit.
    pub(super) fn known_snapshot(&self, revision: &str) -> Option<PathBuf> {
        let commit = fs::read_to_string(self.reference(revision)).ok();
        let commit = commit.as_deref().map_or(revision, str::trim);
        is_component(commit).then(|| self.dir.join("snapshots").join(commit))
    }

    pub(super) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.dir.join("snapshots").join(commit.as_str())
    }

    pub(super) fn blob(&self, etag: &Etag) -> PathBuf {
        self.dir.join("blobs").join(etag.as_str())
    }

    pub(super) fn part(&self, etag: &Etag) -> PathBuf {
        self.dir.join("blobs").join(format!("{}.incomplete", etag.as_str()))
    }

    pub(super) fn lock(&self, etag: &Etag) -> io::Result<Lock> {
        Lock::wait(&self.locks.join(format!("{}.lock", etag.as_str())))
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.dir.join("refs").join(revision)
    }

    pub(super) fn write_reference(&self, revision: &str, commit: &Commit) -> io::Result<()> {
        if revision == commit.as_str() {
            return Ok(());
        }
        place(&self.reference(revision), |at| fs::write(at, commit.as_str()))
    }

    /// Gives a blob its name in a snapshot.
    pub(super) fn link(&self, etag: &Etag, commit: &Commit, file: &str) -> io::Result<()> {
        self.link_by(etag, commit, file, symlink)
    }

    fn link_by(
        &self,
        etag: &Etag,
        commit: &Commit,
        file: &str,
        symlink: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("{file:?} is not a valid file name"));
        let parts = file_parts(file).ok_or_else(invalid)?;
        let target = format!("{}blobs/{}", "../".repeat(parts.len() + 1), etag.as_str());
        let path = parts.iter().fold(self.snapshot(commit), |path, part| path.join(part));
        place(&path, |at| match symlink(Path::new(&target), at) {
            Ok(()) => Ok(()),
            // Some file systems have no symbolic links, and Windows restricts them.
            Err(_) => fs::copy(self.blob(etag), at).map(drop),
        })
    }
}

/// Creates a file under a temporary name and renames it, so that it is never seen incomplete.
fn place(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has no name"));
    };
    fs::create_dir_all(folder)?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.tmp", process::id()));
    let beside = folder.join(beside);
    // A process with the same id may have been killed here before.
    let _ = fs::remove_file(&beside);
    make(&beside).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(unix)]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(windows)]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, at)
}

#[cfg(test)]
mod tests {
    use super::{super::name::MODEL, *};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cache() -> (tempfile::TempDir, RepoCache, Etag, Commit) {
        let root = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(root.path(), &Repo::parse(MODEL, "owner/name").unwrap());
        let (etag, commit) = (Etag::parse("abc").unwrap(), Commit::parse(COMMIT).unwrap());
        fs::create_dir_all(root.path().join("models--owner--name/blobs")).unwrap();
        fs::write(cache.blob(&etag), "content").unwrap();
        (root, cache, etag, commit)
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_a_snapshot_is_a_relative_link_to_its_blob() {
        let (root, cache, etag, commit) = cache();
        let snapshot = root.path().join("models--owner--name/snapshots").join(COMMIT);
        for (file, target) in [("config.json", "../../blobs/abc"), ("a/b.txt", "../../../blobs/abc")] {
            // Twice: what is there already is replaced.
            for _ in 0..2 {
                cache.link(&etag, &commit, file).unwrap();
                assert_eq!(fs::read_link(snapshot.join(file)).unwrap(), Path::new(target));
                assert_eq!(fs::read_to_string(snapshot.join(file)).unwrap(), "content");
            }
        }
        assert!(cache.link(&etag, &commit, "../x").is_err());
    }

    #[test]
    fn where_links_cannot_be_made_files_are_copied() {
        let (_root, cache, etag, commit) = cache();
        let refused = |_: &Path, _: &Path| Err(io::ErrorKind::PermissionDenied.into());
        cache.link_by(&etag, &commit, "config.json", refused).unwrap();
        let path = cache.snapshot(&commit).join("config.json");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_to_string(path).unwrap(), "content");
        assert_eq!(fs::read_dir(cache.snapshot(&commit)).unwrap().count(), 1);
    }

    #[test]
    fn a_reference_leads_to_a_snapshot_and_nowhere_else() {
        let (root, cache, _, commit) = cache();
        cache.write_reference("refs/pr/1", &commit).unwrap();
        assert_eq!(cache.known_snapshot("refs/pr/1").unwrap(), cache.snapshot(&commit));
        assert_eq!(cache.known_snapshot(COMMIT).unwrap(), cache.snapshot(&commit));
        for bad in ["../..", "/tmp", ""] {
            fs::write(root.path().join("models--owner--name/refs/bad"), bad).unwrap();
            assert_eq!(cache.known_snapshot("bad"), None, "{bad}");
        }
        // A commit needs no reference.
        cache.write_reference(COMMIT, &commit).unwrap();
        assert!(!root.path().join("models--owner--name/refs").join(COMMIT).exists());
    }
}
