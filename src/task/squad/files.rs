//! SQuAD's files in a data folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Questions, SquadData, gathered::Gathered, json, parquet};
use crate::{
    error::{Error, Result},
    file::read_all,
    task::{
        FileFormat, TaskId,
        find::{DataFile, find},
    },
};

/// Training and development files, as they are published.
const FILES: [&str; 2] = ["train-v1.1.json", "dev-v1.1.json"];

/// Where they may lie in the data folder.
const FOLDERS: [&str; 3] = ["SQuAD", "squad", ""];

/// Reads both splits. Training questions whose answer is not where the file says are left out, with a warning.
///
/// # Errors
/// Data: a file is missing or unreadable, and all errors of [`parse`](super::parse).
pub fn load(data_dir: &Path) -> Result<SquadData> {
    let mut sha256 = BTreeMap::new();
    let [train_files, dev_files] = files(data_dir)?;
    let mut train = read(data_dir, &train_files, &mut sha256)?;
    let dev = read(data_dir, &dev_files, &mut sha256)?;
    let first = &train_files[0];
    let warning = train.leave_out_misplaced(&first.name);
    if train.questions.is_empty() {
        return Err(Error::data(format!(
            "{}: no answer stands at its answer_start. Download the file again.",
            first.path.display()
        )));
    }
    Ok(SquadData { train, dev, sha256, warnings: warning.into_iter().collect() })
}

/// Reads the development set alone.
///
/// # Errors
/// Data: a file of either split is missing, and all errors of [`parse`](super::parse).
pub fn load_dev(data_dir: &Path) -> Result<Questions> {
    let [_, files] = files(data_dir)?;
    read(data_dir, &files, &mut BTreeMap::new())
}

fn read(data_dir: &Path, files: &[DataFile], sha256: &mut BTreeMap<String, String>) -> Result<Questions> {
    let mut gathered = Gathered::default();
    for DataFile { name, path, format, .. } in files {
        let bytes = read_all(path)?;
        sha256.insert(name.clone(), format!("{:x}", Sha256::digest(&bytes)));
        match format {
            FileFormat::Parquet => parquet::gather(path, bytes, &mut gathered)?,
            _ => json::gather(path, &bytes, &mut gathered)?,
        }
    }
    gathered.finish(files.first().map_or(data_dir, |file| &file.path))
}

/// [`SquadData::sha256`] of the files that [`load`] would read, hashed by the caller's function and not parsed.
///
/// # Errors
/// Data: a file is missing; those of `sha256`.
pub fn hashes(data_dir: &Path, sha256: impl Fn(&Path) -> Result<String>) -> Result<BTreeMap<String, String>> {
    files(data_dir)?.into_iter().flatten().map(|file| Ok((file.name, sha256(&file.path)?))).collect()
}

/// The files of both splits, at least one each: those that are published, or else the hub's.
fn files(data_dir: &Path) -> Result<[Vec<DataFile>; 2]> {
    let folders = FOLDERS.map(|folder| data_dir.join(folder));
    if let Some(folder) = folders.iter().find(|folder| FILES.iter().any(|file| folder.join(file).is_file())) {
        let file = |name: &str| DataFile {
            name: name.to_owned(),
            path: folder.join(name),
            format: FileFormat::Jsonl,
            only: None,
        };
        return Ok(FILES.map(|name| vec![file(name)]));
    }
    let spec = TaskId::Squad.spec();
    let of_hub = find(spec, data_dir, &[spec.train, spec.dev[0]]).unwrap_or_default();
    match <[Vec<DataFile>; 2]>::try_from(of_hub) {
        Ok(both) if both.iter().flatten().all(|file| file.format == FileFormat::Parquet) => Ok(both),
        _ => Err(missing(data_dir, &folders)),
    }
}

fn missing(data_dir: &Path, folders: &[PathBuf]) -> Error {
    let [train, dev] = FILES;
    let packed = folders.iter().map(|folder| folder.join(format!("{dev}.zip"))).find(|path| path.exists());
    let remedy = match packed {
        Some(packed) => format!("Unpack {} first.", packed.display()),
        None => format!(
            "Download both (https://rajpurkar.github.io/SQuAD-explorer/), or rajpurkar/squad from the hub, and give --data the \
             folder that contains them, or that contains {} with them.",
            FOLDERS[0]
        ),
    };
    Error::data(format!("no {train} and {dev} in {}. {remedy}", data_dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ONE: &str = r#"{"data": [{"paragraphs": [{"context": "It is warm.", "qas": [
        {"id": "1", "question": "How is it?", "answers": [{"text": "warm", "answer_start": 6}]},
        {"id": "2", "question": "Is it?", "answers": [{"text": "is", "answer_start": 0}]}]}]}]}"#;

    #[test]
    fn both_splits_are_read_and_hashed_and_misplaced_answers_count_in_training_alone() {
        for below in FOLDERS {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join(below);
            fs::create_dir_all(&folder).unwrap();
            FILES.iter().for_each(|file| fs::write(folder.join(file), ONE).unwrap());
            let data = load(root.path()).unwrap();
            assert_eq!((data.train.questions.len(), data.dev.questions.len()), (1, 2));
            assert!(data.warnings[0].starts_with("train-v1.1.json: the first answer of 1 of 2 questions"));
            let hash = |path: &Path| Ok(format!("{:x}", Sha256::digest(fs::read(path).unwrap())));
            assert_eq!(hashes(root.path(), hash).unwrap(), data.sha256);
            assert_eq!(data.sha256.len(), 2);
        }
    }

    #[test]
    fn the_hubs_parquet_files_have_the_same_questions() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/squad_parquet.json")).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let [hub, classic] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let folder = hub.path().join("plain_text");
        fs::create_dir(&folder).unwrap();
        for (split, file) in [("train", FILES[0]), ("validation", FILES[1])] {
            let of = &golden[split];
            let name = format!("{split}-00000-of-00001.parquet");
            fs::write(folder.join(name), bytes(of["parquet"].as_str().unwrap())).unwrap();
            fs::write(classic.path().join(file), of["json"].to_string()).unwrap();
        }
        let [found, expected] = [hub, classic].map(|root| load(root.path()).unwrap());
        assert_eq!((found.train.questions.len(), found.dev.questions.len()), (3, 2));
        assert_eq!((&found.train, &found.dev), (&expected.train, &expected.dev));
        assert!(found.sha256.contains_key("train-00000-of-00001.parquet"));
        assert!(found.warnings[0].contains("1 of 4 questions"), "{:?}", found.warnings);
    }

    #[test]
    fn a_missing_file_is_named_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let refusal = || load(root.path()).unwrap_err().to_string();
        assert!(refusal().contains("no train-v1.1.json and dev-v1.1.json") && refusal().contains("--data"));
        fs::write(root.path().join("dev-v1.1.json.zip"), "").unwrap();
        assert!(refusal().contains("Unpack"), "{}", refusal());
        fs::write(root.path().join("dev-v1.1.json"), ONE).unwrap();
        assert!(
            refusal().starts_with("cannot read") && refusal().contains("train-v1.1.json"),
            "{}",
            refusal()
        );
    }
}
