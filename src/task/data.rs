//! Reading a task's labelled splits from the classic GLUE layout.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::tsv::parse;
use super::{TaskData, TaskId, TaskSpec, demo};
use crate::error::{Error, Result, dangling, excerpt};
use crate::file::read_all;

/// Reads `<data_dir>/<folder>/train.tsv` and the task's dev files; the demo task is generated and reads nothing.
///
/// # Errors
/// Data: a missing folder (with the expected layout and what is there instead), a missing or unreadable file, and all errors
/// of [`parse`].
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
        if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(missing_file(spec, &folder, file));
        }
        let bytes = read_all(&path)?;
        sha256.insert(file.to_owned(), format!("{:x}", Sha256::digest(&bytes)));
        parse(spec, &path, &bytes)
    };
    let train = split("train.tsv")?;
    let dev = split(spec.dev_files[0])?;
    let dev_mismatched = spec.dev_files.get(1).map(|file| split(file)).transpose()?;
    Ok(TaskData { train, dev, dev_mismatched, sha256 })
}

/// [`TaskData::sha256`] of the files that [`load`] would read, hashed by the caller's function and not parsed.
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
    let folder = data_dir.join(spec.folder);
    Error::data(format!(
        "no folder {}; {}. Expected the GLUE layout, {}/train.tsv and {}: give --data the folder that contains {}.",
        folder.display(),
        dangling(&folder).unwrap_or_else(|| listed(data_dir)),
        spec.folder,
        spec.dev_files.iter().map(|file| format!("{}/{file}", spec.folder)).collect::<Vec<_>>().join(", "),
        spec.folder,
    ))
}

fn missing_file(spec: &TaskSpec, folder: &Path, file: &str) -> Error {
    let there = names(folder).unwrap_or_default();
    let find = |wanted: &dyn Fn(&str) -> bool| there.iter().find(|name| wanted(&name.to_lowercase()));
    let (stem, _) = file.split_once('.').unwrap_or((file, ""));
    let hint = if let Some(raw) = find(&|name| name.starts_with("msr_paraphrase"))
        && spec.id == TaskId::Mrpc
    {
        format!(
            "{} is from the original corpus, which GLUE splits into train.tsv and dev.tsv by a list of ids \
             (mrpc_dev_ids.tsv): download GLUE's files, or split it in the same way.",
            excerpt(raw)
        )
    } else if let Some(raw) = find(&|name| name.starts_with("multinli") || name.starts_with("snli")) {
        format!(
            "{} is from the original corpus: download GLUE's files, or remove its rows whose gold_label is - and name it {file}.",
            excerpt(raw)
        )
    } else if let Some(packed) = find(&|name| name.starts_with(&format!("{file}."))) {
        format!("Unpack {} first.", excerpt(packed))
    } else if let Some(other) = find(&|name| name.starts_with(&format!("{stem}."))) {
        format!("If {} is that file, separate its columns by tabs and name it {file}.", excerpt(other))
    } else {
        format!("A {} folder contains train.tsv and {}.", spec.folder, spec.dev_files.join(", "))
    };
    let path = folder.join(file);
    Error::data(format!("cannot read {}: no such file; {}. {hint}", path.display(), listed(folder)))
}

/// The contents of a folder, as part of a sentence.
fn listed(folder: &Path) -> String {
    let shown = folder.display();
    match names(folder) {
        Err(error) => format!("{shown} cannot be listed ({error})"),
        Ok(names) if names.is_empty() => format!("{shown} is empty"),
        Ok(names) => {
            let more = if names.len() > 12 { ", …" } else { "" };
            let first: Vec<_> = names.iter().take(12).map(|name| excerpt(name)).collect();
            format!("{shown} contains: {}{more}", first.join(", "))
        }
    }
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
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
        let hash = |path: &Path| Ok(format!("{:x}", Sha256::digest(read_all(path)?)));
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
        assert!(text.contains("contains: CoLA, notes.txt"), "{text}");
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

    #[test]
    fn what_is_there_in_the_place_of_a_split_is_named_with_what_to_do() {
        for (task, there, wanted) in [
            (TaskId::Mrpc, "MRPC/msr_paraphrase_train.txt", "mrpc_dev_ids.tsv"),
            (TaskId::Mnli, "MNLI/multinli_1.0_train.txt", "whose gold_label is -"),
            (TaskId::Rte, "RTE/train.tsv.gz", "Unpack train.tsv.gz first"),
            (TaskId::Rte, "RTE/train.jsonl", "If train.jsonl is that file"),
            (TaskId::Rte, "RTE/test.tsv", "A RTE folder contains train.tsv and dev.tsv"),
        ] {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), there, "");
            let text = load(task.spec(), root.path()).unwrap_err().to_string();
            assert!(text.starts_with("cannot read ") && text.contains("train.tsv: no such file"), "{text}");
            let (_, name) = there.split_once('/').unwrap();
            assert!(text.contains(&format!("contains: {name}.")) && text.contains(wanted), "{text}");
        }
    }
}
