//! Files of a data set on the hub.

use super::{
    HubSettings, Snapshot, hash,
    name::{DATASET, Etag, Repo},
    repository::Repository,
};
use crate::error::{Error, Result};
use std::{io, path::Path};

/// What is wrong with this file of a snapshot: its hash is not the one by which the hub names it. `None` if it is right,
/// or if the file is a copy whose name on the hub is not known.
///
/// # Errors
/// The file cannot be read.
pub fn fault(path: &Path) -> Result<Option<String>> {
    let broken = |error: &io::Error| Error::io(path, "read", error);
    let blob = std::fs::canonicalize(path).map_err(|error| broken(&error))?;
    let name = blob.file_name().unwrap_or_default().to_string_lossy();
    match Etag::parse(&name) {
        Some(etag) => hash::fault(&blob, &etag, None).map_err(|error| broken(&error)),
        None => Ok(None),
    }
}

/// A limit for one file; the largest of GLUE has 52 MB.
const MAX_FILE: u64 = 4 << 30;

/// These files of the data set `owner/name[@revision]`, from the cache, otherwise downloaded.
///
/// # Errors
/// Data: an invalid name, files that are neither cached nor can be downloaded.
pub fn resolve_dataset(name: &str, files: &[String], hub: &HubSettings) -> Result<Snapshot> {
    let repo = Repo::parse(DATASET, name).ok_or_else(|| {
        Error::data(format!(
            "{name} is no name of a data set on the Hugging Face hub. Such names are written owner/name or \
             owner/name@revision, for example nyu-mll/glue."
        ))
    })?;
    let repository = Repository::new(repo, hub)?;
    repository.resolve(
        |dir| files.iter().all(|file| dir.join(file).is_file()),
        |fetch| {
            for file in files {
                let found = fetch.get(file, MAX_FILE).map_err(|failure| repository.failed(file, &failure))?;
                if !found {
                    return Err(repository.without(file, "Check the name and the revision."));
                }
            }
            Ok(())
        },
    )
}
