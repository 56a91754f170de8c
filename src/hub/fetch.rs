//! Files from the hub into the cache.

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

/// A snapshot in the making: its files are fetched one by one, all of one commit, and get their names at the end.
pub(super) struct Fetch<'a> {
    client: Client<'a>,
    repo: Repo<'a>,
    cache: RepoCache,
    commit: Option<Commit>,
    links: Vec<(Etag, &'a str)>,
}

/// A file without an announced length may not be longer than this.
const MAX_UNKNOWN: u64 = 64 << 20;

impl<'a> Fetch<'a> {
    pub(super) fn new(client: Client<'a>, repo: Repo<'a>, cache: RepoCache) -> Self {
        Self { client, repo, cache, commit: None, links: Vec::new() }
    }

    /// Whether the hub has this file.
    pub(super) fn has(&mut self, file: &'a str) -> Result<bool, Failure> {
        Ok(self.metadata(file)?.is_some())
    }

    /// Fetches a file of at most `limit` bytes, unless the cache has it; `false` where the hub has no such file.
    pub(super) fn get(&mut self, file: &'a str, limit: u64) -> Result<bool, Failure> {
        let Some((url, metadata)) = self.metadata(file)? else { return Ok(false) };
        if let Some(size) = metadata.size.filter(|size| *size > limit) {
            return Err(Failure::permanent(format!(
                "{} announces {size} bytes, and more than {limit} are not taken",
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
        self.links.push((etag.clone(), file));
        Ok(true)
    }

    /// Gives what was fetched its place in the snapshot, and the revision its commit. The snapshot's folder.
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
                "{} answers with a file of another commit than was asked for",
                self.client.host()
            )));
        }
        // By its commit, so that the content is that of this answer.
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
    /// The length, or what it may be.
    limit: u64,
    path: PathBuf,
    part: PathBuf,
}

/// So much more is worth more tries.
const PROGRESS: u64 = 1 << 20;

impl Blob<'_> {
    /// Called with the lock held.
    fn fetch(&self, file: &str) -> Result<(), Failure> {
        if self.path.is_file() && self.fault(&self.path)?.is_none() {
            return Ok(());
        }
        // What cannot be checked is not continued.
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
                    "what {} sent is damaged: {fault}. It was removed",
                    self.client.host()
                )));
            }
            // The part that was there already may have been the damaged one.
            resumed = false;
        }
        self.keep()
    }

    fn fault(&self, path: &Path) -> Result<Option<String>, Failure> {
        let fault = hash::fault(path, &self.metadata.etag, self.metadata.size);
        fault.map_err(|error| disk("read", path, &error))
    }

    fn keep(&self) -> Result<(), Failure> {
        // A file system that cannot do this is no reason to refuse the file.
        if let Ok(file) = File::open(&self.part) {
            let _ = file.sync_all();
        }
        match fs::rename(&self.part, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.is_file() => Ok(()),
            renamed => renamed.map_err(|error| disk("write", &self.path, &error)),
        }
    }

    /// Receives until everything is there, over several connections if need be.
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
                // That the hub has it, it has said.
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
            let what = format!("{host} answers with another range than was asked for");
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

    /// An empty part. The old file is removed rather than cut: where locks do not work, it may be a blob by now.
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

/// The beginning of a file. It is written by position: two processes that write the same one do no harm.
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
        "cannot {what} {}: {error} (HF_HOME can name a folder on another disk)",
        path.display()
    ))
}
