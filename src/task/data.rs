//! A task's labelled splits, read from the classic GLUE layout.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::tsv::{parse, read};
use super::{Example, TaskId, TaskSpec, demo};
use crate::error::{Error, Result};

/// The labelled splits of one task.
#[derive(Clone, Debug)]
pub struct TaskData {
    pub train: Vec<Example>,
    /// The dev split; for MNLI the matched one.
    pub dev: Vec<Example>,
    /// MNLI only.
    pub dev_mismatched: Option<Vec<Example>>,
    /// File name → SHA-256 (hex) of the bytes that were read; of the demo task, split → that of its examples.
    pub sha256: BTreeMap<String, String>,
}

/// Reads `<data_dir>/<folder>/train.tsv` and the task's dev files; the demo task is generated and reads nothing.
///
/// # Errors
/// `Error::Data`: a missing folder (with the layout that is expected and what is there instead), a missing file, and
/// everything that [`super::read_tsv`] refuses.
pub fn load(spec: &TaskSpec, data_dir: &Path) -> Result<TaskData> {
    if spec.id == TaskId::Demo {
        return Ok(demo::data());
    }
    let folder = data_dir.join(spec.folder);
    if !folder.is_dir() {
        return Err(missing_folder(spec, data_dir));
    }
    let mut sha256 = BTreeMap::new();
    let mut split = |file: &str| {
        let path = folder.join(file);
        let bytes = read(&path)?;
        sha256.insert(file.to_owned(), format!("{:x}", Sha256::digest(&bytes)));
        parse(spec, &path, &bytes)
    };
    let train = split("train.tsv")?;
    let dev = split(spec.dev_files[0])?;
    let dev_mismatched = spec.dev_files.get(1).map(|file| split(file)).transpose()?;
    Ok(TaskData { train, dev, dev_mismatched, sha256 })
}

/// [`TaskData::sha256`] of the files that [`load`] would read, by a hash of the caller's; the files are not parsed.
///
/// # Errors
/// Those of `sha256`.
pub fn hashes(
    spec: &TaskSpec,
    data_dir: &Path,
    sha256: impl Fn(&Path) -> Result<String>,
) -> Result<BTreeMap<String, String>> {
    if spec.id == TaskId::Demo {
        return Ok(demo::data().sha256);
    }
    let files = ["train.tsv"].into_iter().chain(spec.dev_files.iter().copied());
    files.map(|file| Ok((file.to_owned(), sha256(&data_dir.join(spec.folder).join(file))?))).collect()
}

fn missing_folder(spec: &TaskSpec, data_dir: &Path) -> Error {
    let shown = data_dir.display();
    let found = match std::fs::read_dir(data_dir) {
        Err(error) => format!("{shown} cannot be listed ({error})"),
        Ok(entries) => {
            let mut names: Vec<String> =
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            let more = if names.len() > 12 { ", …" } else { "" };
            names.truncate(12);
            match names.is_empty() {
                true => format!("{shown} is empty"),
                false => format!("{shown} holds: {}{more}", names.join(", ")),
            }
        }
    };
    Error::data(format!(
        "no folder {}; {found}. Expected is the GLUE layout, {}/train.tsv and {}: name the folder above {} with --data.",
        data_dir.join(spec.folder).display(),
        spec.folder,
        spec.dev_files.iter().map(|file| format!("{}/{file}", spec.folder)).collect::<Vec<_>>().join(", "),
        spec.folder,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MNLI: &str = "sentence1\tsentence2\tgold_label\na\tb\tneutral\n";

    fn write(root: &Path, file: &str, content: &str) {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn every_split_is_read_and_hashed() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "MNLI/train.tsv", MNLI);
        write(root.path(), "MNLI/dev_matched.tsv", &MNLI.replace("neutral", "entailment"));
        write(root.path(), "MNLI/dev_mismatched.tsv", &format!("{MNLI}c\td\tcontradiction\n"));
        let data = load(TaskId::Mnli.spec(), root.path()).unwrap();
        assert_eq!((data.train.len(), data.dev.len()), (1, 1));
        assert_eq!(data.dev_mismatched.unwrap().len(), 2);
        let files: Vec<&str> = data.sha256.keys().map(String::as_str).collect();
        assert_eq!(files, ["dev_matched.tsv", "dev_mismatched.tsv", "train.tsv"]);
        assert_eq!(data.sha256["train.tsv"], format!("{:x}", Sha256::digest(MNLI)));
        let hash = |path: &Path| Ok(format!("{:x}", Sha256::digest(read(path)?)));
        assert_eq!(hashes(TaskId::Mnli.spec(), root.path(), hash).unwrap(), data.sha256);
    }

    #[test]
    fn a_missing_task_folder_says_what_is_there_and_what_is_expected() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "CoLA/train.tsv", "");
        write(root.path(), "notes.txt", "");
        let error = load(TaskId::Rte.spec(), root.path()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(text.contains("holds: CoLA, notes.txt"), "{text}");
        assert!(text.contains("RTE/train.tsv and RTE/dev.tsv") && text.contains("--data"), "{text}");
    }

    #[test]
    fn a_missing_data_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let nowhere = root.path().join("nowhere");
        let text = load(TaskId::Rte.spec(), &nowhere).unwrap_err().to_string();
        assert!(text.contains(&format!("{} cannot be listed", nowhere.display())), "{text}");
        let empty = root.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let text = load(TaskId::Rte.spec(), &empty).unwrap_err().to_string();
        assert!(text.contains("is empty"), "{text}");
    }

    #[test]
    fn a_missing_split_is_named() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "RTE/train.tsv", "sentence1\tsentence2\tlabel\na\tb\tentailment\n");
        let text = load(TaskId::Rte.spec(), root.path()).unwrap_err().to_string();
        assert!(text.starts_with("cannot read ") && text.contains("dev.tsv"), "{text}");
    }
}
