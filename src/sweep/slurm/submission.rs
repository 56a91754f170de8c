//! The store's record of a submission.

use super::Options;
use crate::{
    error::{Error, Result},
    file,
    store::atomic_write,
    sweep::plan::FORMAT_VERSION,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The file that makes the elements end.
pub(super) const CANCELLED: &str = "cancelled";
const RECORD: &str = "submission.json";

/// The content of `slurm/<n>/submission.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submission {
    pub format_version: u32,
    pub number: u32,
    /// Seconds since 1970-01-01, UTC.
    pub submitted: u64,
    /// The arrays that sbatch accepted.
    pub arrays: Vec<Array>,
    /// Processes of each worker, if given.
    pub jobs: Option<usize>,
    pub options: Options,
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A job array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// `SLURM_ARRAY_JOB_ID` of its elements.
    pub job: u64,
    /// The name of the cluster, if it is not sbatch's default.
    pub cluster: Option<String>,
    pub elements: usize,
    pub script: PathBuf,
}

impl Submission {
    /// A submission in a new folder, which no other process gets.
    pub(super) fn create(sweep: &Path, jobs: Option<usize>, options: Options) -> Result<Self> {
        let mut number = next(sweep)?;
        let folder = loop {
            let folder = folder(sweep, number);
            fs::create_dir_all(sweep.join("slurm")).map_err(|e| Error::io(&folder, "create", &e))?;
            match fs::create_dir(&folder) {
                Ok(()) => break folder,
                Err(e) if e.kind() == ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
                Err(e) => return Err(Error::io(&folder, "create", &e)),
            }
        };
        let logs = folder.join("logs");
        fs::create_dir(&logs).map_err(|e| Error::io(&logs, "create", &e))?;
        let submitted = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let format_version = FORMAT_VERSION;
        let created = Self { format_version, number, submitted, arrays: Vec::new(), jobs, options, folder };
        // Saved before sbatch is called: if this process is killed before it knows the job ids, a cancellation still
        // finds the elements.
        created.save()?;
        Ok(created)
    }

    pub(super) fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::internal(e.to_string()))?;
        atomic_write(&self.folder.join(RECORD), format!("{text}\n").as_bytes())
    }

    /// Removes a submission without elements. What cannot be removed only takes space.
    pub(super) fn discard(self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    pub fn elements(&self) -> usize {
        self.arrays.iter().fold(0, |sum, array| sum.saturating_add(array.elements))
    }

    pub fn is_cancelled(&self) -> bool {
        self.folder.join(CANCELLED).exists()
    }

    /// Makes the elements end on any machine: running ones within seconds, the others as soon as they start.
    pub(super) fn cancel(&self) -> Result<()> {
        atomic_write(&self.folder.join(CANCELLED), b"")
    }
}

/// The submissions of a sweep, oldest first.
pub fn all(sweep: &Path) -> Result<Vec<Submission>> {
    let mut all = Vec::new();
    for number in numbers(sweep)? {
        let folder = folder(sweep, number);
        let path = folder.join(RECORD);
        let Some(text) = file::read_if_there(&path)? else { continue };
        let submission: Submission = serde_json::from_slice(&text).map_err(|e| {
            Error::data(format!(
                "{} is damaged: {e}. Cancel its jobs with scancel, then remove its folder.",
                path.display()
            ))
        })?;
        all.push(Submission { folder, ..submission });
    }
    Ok(all)
}

/// The number of the next submission.
pub(super) fn next(sweep: &Path) -> Result<u32> {
    Ok(numbers(sweep)?.last().map_or(1, |last| last.saturating_add(1)))
}

pub(super) fn folder(sweep: &Path, number: u32) -> PathBuf {
    sweep.join("slurm").join(number.to_string())
}

fn numbers(sweep: &Path) -> Result<Vec<u32>> {
    let dir = sweep.join("slurm");
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| Error::io(&dir, "list", &e))?,
    };
    let mut numbers: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
