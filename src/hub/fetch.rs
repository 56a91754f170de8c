//! Downloading files from the hub into the cache.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use url::Url;

use super::{
    backoff::Retries,
    bar,
    cache::RepoCache,
    client::{Client, Metadata},
    failure::{Failure, FailureKind},
    hash,
    name::{Commit, Etag, Repo},
};

/// A snapshot being downloaded: its files are fetched one by one, all from the same commit, and linked at the end.
pub(super) struct Fetch<'a> {
    client: Client<'a>,
    repo: Repo<'a>,
    cache: RepoCache,
    commit: Option<Commit>,
    links: Vec<(Etag, String)>,
}

/// The limit for a file without an announced size.
const MAX_UNKNOWN: u64 = 64 << 20;

impl<'a> Fetch<'a> {
    pub(super) fn new(client: Client<'a>, repo: Repo<'a>, cache: RepoCache) -> Self {
        Self { client, repo, cache, commit: None, links: Vec::new() }
    }

    /// Downloads a file of at most `limit` bytes unless it is cached; `false` if the hub has no such file.
    pub(super) fn get(&mut self, file: &str, limit: u64) -> Result<bool, Failure> {
        let Some((url, metadata)) = self.metadata(file)? else { return Ok(false) };
        if let Some(size) = metadata.size.filter(|size| *size > limit) {
            return Err(Failure::permanent(format!(
                "{} announces {size} bytes, more than the limit of {limit}",
                self.client.host()
            )));
        }
        let blob = Blob {
            limit: metadata.size.unwrap_or(limit.min(MAX_UNKNOWN)),
            path: self.cache.blob(&metadata.etag),
            part: self.cache.part(&metadata.etag),
            url,
            metadata,
            client: &self.client,
        };
        if let Some(folder) = blob.path.parent() {
            fs::create_dir_all(folder).map_err(|error| disk("create", folder, &error))?;
        }
        let etag = &blob.metadata.etag;
        let _lock = self.cache.lock(etag).map_err(|error| disk("lock", &blob.path, &error))?;
        blob.fetch(file)?;
        self.links.push((etag.clone(), file.to_owned()));
        Ok(true)
    }

    /// Where the content of a file lies that was fetched.
    pub(super) fn blob(&self, file: &str) -> Option<PathBuf> {
        self.links.iter().find(|(_, of)| of == file).map(|(etag, _)| self.cache.blob(etag))
    }

    /// Links the files into the snapshot, and records the revision's commit. Returns the snapshot's folder.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        let Some(commit) = self.commit else { return Err(Failure::permanent("nothing was fetched")) };
        let snapshot = self.cache.snapshot(&commit);
        for (etag, file) in self.links.iter().rev() {
            let linked = self.cache.link(etag, &commit, file);
            linked.map_err(|error| disk("write", &snapshot.join(file), &error))?;
        }
        let written = self.cache.write_reference(self.repo.revision, &commit);
        written.map_err(|error| disk("write the reference beside", &snapshot, &error))?;
        Ok(snapshot)
    }

    fn metadata(&mut self, file: &str) -> Result<Option<(Url, Metadata)>, Failure> {
        let revision = self.commit.as_ref().map_or(self.repo.revision, Commit::as_str);
        let url = self.client.url(&self.repo, revision, file);
        let mut retries = Retries::new(self.client.network);
        let metadata = loop {
            match self.client.metadata(&url) {
                Ok(metadata) => break metadata,
                Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
                Err(failure) => retries.after(failure)?,
            }
        };
        let wanted = self.commit.clone().or_else(|| Commit::parse(self.repo.revision));
        if wanted.is_some_and(|wanted| wanted != metadata.commit) {
            return Err(Failure::permanent(format!(
                "{} sends a file of another commit than was requested",
                self.client.host()
            )));
        }
        // By commit, so that the content is the one that the metadata describes.
        let url = self.client.url(&self.repo, metadata.commit.as_str(), file);
        self.commit = Some(metadata.commit.clone());
        Ok(Some((url, metadata)))
    }
}

/// One file's content.
struct Blob<'a> {
    client: &'a Client<'a>,
    url: Url,
    metadata: Metadata,
    /// The size, or the limit for it.
    limit: u64,
    path: PathBuf,
    part: PathBuf,
}

/// After this much progress, the attempts are counted anew.
const PROGRESS: u64 = 1 << 20;

impl Blob<'_> {
    /// Called with the lock held.
    fn fetch(&self, file: &str) -> Result<(), Failure> {
        if self.path.is_file() && self.fault(&self.path)?.is_none() {
            return Ok(());
        }
        // A part that cannot be verified is not resumed.
        let checked = hash::Kind::of(&self.metadata.etag).is_some() && self.metadata.size.is_some();
        if !checked {
            self.remove(&self.part)?;
        }
        let mut resumed = checked && fs::metadata(&self.part).is_ok_and(|part| part.len() > 0);
        loop {
            self.fill(file, checked)?;
            // Where locks do not work, another process may have finished the same file.
            if !self.part.exists() && self.path.is_file() {
                return Ok(());
            }
            let Some(fault) = self.fault(&self.part)? else { break };
            self.remove(&self.part)?;
            if !resumed {
                return Err(Failure::permanent(format!(
                    "the file sent by {} is damaged: {fault}. It was removed",
                    self.client.host()
                )));
            }
            // The part from an earlier download may have been damaged.
            resumed = false;
        }
        self.keep()
    }

    fn fault(&self, path: &Path) -> Result<Option<String>, Failure> {
        let fault = hash::fault(path, &self.metadata.etag, self.metadata.size);
        fault.map_err(|error| disk("read", path, &error))
    }

    fn keep(&self) -> Result<(), Failure> {
        // Not every file system supports this.
        if let Ok(file) = File::open(&self.part) {
            let _ = file.sync_all();
        }
        match fs::rename(&self.part, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.is_file() => Ok(()),
            renamed => renamed.map_err(|error| disk("write", &self.path, &error)),
        }
    }

    /// Downloads until the file is complete, over several connections if need be.
    fn fill(&self, file: &str, mut resume: bool) -> Result<(), Failure> {
        let bar = bar::of_file(file, self.metadata.size);
        let mut retries = Retries::new(self.client.network);
        loop {
            let mut part = Part::open(&self.part)?;
            if !resume || part.length > self.limit {
                part = self.restart()?;
            }
            if self.metadata.size == Some(part.length) {
                return Ok(());
            }
            let before = part.length;
            match self.receive(&mut part, &bar) {
                Ok(()) => return Ok(()),
                // The hub has already said that it has the file.
                Err(failure) if failure.kind == FailureKind::NotFound => {
                    return Err(Failure::permanent(failure.what));
                }
                Err(failure) => {
                    resume &= failure.kind != FailureKind::Range;
                    if part.length >= before + PROGRESS {
                        retries.progressed();
                    }
                    retries.after(failure)?;
                }
            }
        }
    }

    fn receive(&self, part: &mut Part, bar: &ProgressBar) -> Result<(), Failure> {
        let host = self.client.host();
        let mut content = self.client.content(&self.url, part.length)?;
        if content.from == 0 && part.length > 0 {
            *part = self.restart()?;
        }
        let of_another = |size| content.total.is_some_and(|total| total != size);
        if content.from != part.length || self.metadata.size.is_some_and(of_another) {
            let what = format!("{host} sends another range than was requested");
            return Err(Failure { what, kind: FailureKind::Range, tries: 1 });
        }
        if let (Some(size), Some(length)) = (self.metadata.size, content.length)
            && length != size - part.length
        {
            return Err(Failure::permanent(format!(
                "{host} announces {size} bytes and sends {}",
                part.length.saturating_add(length)
            )));
        }
        bar.set_position(part.length);
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = match content.reader.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::transient(format!("{host}: {error}"))),
            };
            if read == 0 {
                break;
            }
            if part.length + read as u64 > self.limit {
                self.remove(&self.part)?;
                let limit = self.limit;
                return Err(Failure::permanent(format!("{host} sends more than {limit} bytes")));
            }
            part.write(&buffer[..read]).map_err(|error| disk("write", &self.part, &error))?;
            bar.inc(read as u64);
        }
        match self.metadata.size {
            Some(size) if part.length < size => {
                Err(Failure::transient(format!("{host} sent {} of {size} bytes", part.length)))
            }
            _ => Ok(()),
        }
    }

    /// Starts over with an empty part. The old file is removed, not truncated: without locks it may be a blob by now.
    fn restart(&self) -> Result<Part, Failure> {
        self.remove(&self.part)?;
        Part::open(&self.part)
    }

    fn remove(&self, path: &Path) -> Result<(), Failure> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove", path, &error)),
            _ => Ok(()),
        }
    }
}

/// The part of a file downloaded so far. Two processes that write the same part write the same bytes.
struct Part {
    file: File,
    length: u64,
}

impl Part {
    fn open(path: &Path) -> Result<Self, Failure> {
        let open = || {
            let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
            let length = file.seek(SeekFrom::End(0))?;
            Ok(Self { file, length })
        };
        open().map_err(|error| disk("write", path, &error))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

fn disk(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::permanent(format!(
        "cannot {what} {}: {error} (HF_HOME can be set to a folder on another disk)",
        path.display()
    ))
}
