//! A repository of the hub that is in the cache, or is to be downloaded.

use super::{
    HubSettings, Token,
    cache::RepoCache,
    client::Client,
    failure::{Failure, FailureKind},
    fetch::Fetch,
    name::Repo,
};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// A folder with the files of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub dir: PathBuf,
    /// The commit that its files are from.
    pub commit: String,
}

/// A repository, and the hub and cache where it is looked for.
pub(super) struct Repository<'a> {
    pub(super) repo: Repo<'a>,
    hub: &'a HubSettings,
    cache_dir: &'a Path,
}

impl<'a> Repository<'a> {
    /// # Errors
    /// Data: no folder for the cache is known.
    pub(super) fn new(repo: Repo<'a>, hub: &'a HubSettings) -> Result<Self> {
        match &hub.cache {
            Some(cache_dir) => Ok(Self { repo, hub, cache_dir }),
            None => Err(Error::data(format!(
                "there is no folder for the Hugging Face cache. Set HF_HOME to one, or give {} a local folder.",
                repo.kind.flag
            ))),
        }
    }

    /// The files in the cache if `is_complete`, otherwise those that `download` downloads.
    ///
    /// # Errors
    /// Data: the files are not in the cache and cannot be downloaded.
    pub(super) fn resolve(
        &self,
        is_complete: impl Fn(&Path) -> bool,
        download: impl FnOnce(&mut Fetch<'a>) -> Result<()>,
    ) -> Result<Snapshot> {
        let cache = RepoCache::new(self.cache_dir, &self.repo);
        if let Some(dir) = cache.known_snapshot(self.repo.revision).filter(|dir| is_complete(dir)) {
            return Ok(snapshot(dir));
        }
        if self.hub.offline {
            return Err(self.unreachable("HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set"));
        }
        let token = self.hub.token.as_ref().map(Token::header).transpose()?;
        let client = Client::new(&self.hub.endpoint, token, &self.hub.network);
        let client = client.map_err(|failure| self.unreachable(&failure.to_string()))?;
        let mut fetch = Fetch::new(client, self.repo, cache);
        download(&mut fetch)?;
        fetch.finish().map(snapshot).map_err(|failure| self.unreachable(&failure.to_string()))
    }

    /// The error of a file that could not be downloaded.
    pub(super) fn failed(&self, file: &str, failure: &Failure) -> Error {
        let Repo { id, kind, .. } = self.repo;
        match failure.kind {
            FailureKind::Denied => Error::data(format!(
                "{} denies access to {id}: {failure}, for {file}. Check the spelling; for a private or gated {}, set \
                 HF_TOKEN to a token that may read it.",
                self.hub.endpoint, kind.noun
            )),
            _ => self.unreachable(&format!("{file}: {failure}")),
        }
    }

    /// The error of a file that the repository does not have.
    pub(super) fn without(&self, file: &str, remedy: &str) -> Error {
        let Repo { id, revision, .. } = self.repo;
        Error::data(format!(
            "{} has no file {file} for {id} at revision {revision}. {remedy}",
            self.hub.endpoint
        ))
    }

    fn unreachable(&self, why: &str) -> Error {
        let Repo { id, revision, kind, .. } = self.repo;
        let (noun, flag) = (kind.noun, kind.flag);
        Error::data(format!(
            "the {noun} {id} (revision {revision}) is not complete in the cache {} and cannot be downloaded: {why}. \
             On a machine with network access, run `hf download {id}{} --revision {revision} --local-dir DIR`, copy DIR here \
             and give it as {flag} DIR; or copy that machine's cache and set HF_HOME to it.",
            self.cache_dir.display(),
            kind.hf_option
        ))
    }
}

fn snapshot(dir: PathBuf) -> Snapshot {
    let commit = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Snapshot { dir, commit }
}
