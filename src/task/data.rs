//! Reading a task's splits, wherever they are and in whatever format.

use super::{
    Example, FileFormat, Split, TaskData, TaskId, TaskSpec, csv, demo,
    find::{DataFile, find},
    jsonl, parquet,
    rows::{Rows, Wanted},
    tsv,
};
use crate::{
    content::what_is,
    error::{Error, Result},
    file::read_all,
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, path::Path};

/// One evaluation or test set.
#[derive(Clone, Debug)]
pub struct EvalSet {
    /// `dev` or `test`; where there are several, that of its file in the classic layout: `dev_matched`, `test_mismatched`.
    pub name: String,
    /// What the files call each example, the official `index`; its number from 0 if they have no such column.
    pub index: Vec<String>,
    /// Those of a test set are [`Label::Unknown`](super::Label::Unknown).
    pub examples: Vec<Example>,
    /// As [`TaskData::sha256`].
    pub sha256: BTreeMap<String, String>,
    pub notes: Vec<String>,
}

/// Reads the training data and the development sets; the demo task is generated and reads nothing.
///
/// # Errors
/// Usage: the task has no training data. Data: a missing folder (with the expected layout and what is there instead), a
/// missing, unreadable or damaged file, with file and line.
pub fn load(spec: &TaskSpec, data_dir: &Path) -> Result<TaskData> {
    if spec.id == TaskId::Demo {
        return Ok(demo::data());
    }
    spec.must_train()?;
    let mut sets = read(spec, data_dir, &labelled(spec), Some("dev"))?.into_iter();
    let (Some(train), Some(dev)) = (sets.next(), sets.next()) else {
        return Err(Error::internal(format!("{} has no development set", spec.name)));
    };
    let mismatched = sets.next();
    let all = || [&train, &dev].into_iter().chain(&mismatched);
    let sha256 = all().flat_map(|set| set.sha256.clone()).collect();
    let notes = all().flat_map(|set| set.notes.clone()).collect();
    let dev_mismatched = mismatched.map(|set| set.examples);
    Ok(TaskData { train: train.examples, dev: dev.examples, dev_mismatched, sha256, notes })
}

/// Reads the development sets alone, with what the files call their examples.
///
/// # Errors
/// Data, as [`load`].
pub fn load_dev(spec: &TaskSpec, data_dir: &Path) -> Result<Vec<EvalSet>> {
    if spec.id != TaskId::Demo {
        return read(spec, data_dir, spec.dev, Some("dev"));
    }
    let TaskData { dev, sha256, .. } = demo::data();
    let index = (0..dev.len()).map(|n| n.to_string()).collect();
    Ok(vec![EvalSet { name: "dev".into(), index, examples: dev, sha256, notes: Vec::new() }])
}

/// Reads the official test sets, without labels, with the index of each example: MNLI has two, most tasks one.
///
/// # Errors
/// Usage: the task has no test set. Data, as [`load`].
pub fn load_test(spec: &TaskSpec, data_dir: &Path) -> Result<Vec<EvalSet>> {
    if spec.test.is_empty() {
        return Err(Error::usage(format!(
            "{} has no test set. Evaluate on its development set instead, without --test.",
            spec.name
        )));
    }
    read(spec, data_dir, spec.test, None)
}

/// [`TaskData::sha256`] of the files that [`load`] would read, hashed by the caller's function and not parsed.
///
/// # Errors
/// Those of `sha256`, and missing files.
pub fn hashes(
    spec: &TaskSpec,
    data_dir: &Path,
    sha256: impl Fn(&Path) -> Result<String>,
) -> Result<BTreeMap<String, String>> {
    if spec.id == TaskId::Demo {
        return Ok(demo::data().sha256);
    }
    let files = find(spec, data_dir, &labelled(spec))?;
    files.into_iter().flatten().map(|file| Ok((file.name, sha256(&file.path)?))).collect()
}

impl TaskSpec {
    /// # Errors
    /// Usage: the task only evaluates models of another one.
    pub fn must_train(&self) -> Result<()> {
        match self.evaluates {
            None => Ok(()),
            Some(other) => Err(Error::usage(format!(
                "{} has no training data: it evaluates models that were trained on {other}. Train with --task {other}, \
                 then evaluate the model with: lottery eval MODEL --task {}",
                self.name, self.name
            ))),
        }
    }
}

fn labelled(spec: &TaskSpec) -> Vec<Split> {
    [spec.train].into_iter().chain(spec.dev.iter().copied()).collect()
}

/// `labelled` is the name of a single set with labels; a set without them is called test.
fn read(spec: &TaskSpec, data_dir: &Path, splits: &[Split], labelled: Option<&str>) -> Result<Vec<EvalSet>> {
    let found = find(spec, data_dir, splits)?;
    let several = if labelled.is_some() { spec.dev.len() > 1 } else { splits.len() > 1 };
    let name = |split: &Split| match (several, split) {
        (true, Split::Any(stems)) => stems.first().map_or("", |stem| stem.name).to_owned(),
        _ => labelled.unwrap_or("test").to_owned(),
    };
    splits.iter().zip(found).map(|(split, files)| set(spec, name(split), files, labelled.is_some())).collect()
}

fn set(spec: &TaskSpec, name: String, files: Vec<DataFile>, labels: bool) -> Result<EvalSet> {
    let mut set =
        EvalSet { name, index: Vec::new(), examples: Vec::new(), sha256: BTreeMap::new(), notes: Vec::new() };
    for file in files {
        let bytes = read_all(&file.path)?;
        let wanted = Wanted { spec, labels, only: file.only };
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        let rows = parse(&wanted, &file, bytes)?;
        set.notes.extend(notes(spec, &file, &rows));
        set.sha256.insert(file.name, sha256);
        set.index.extend(rows.index);
        set.examples.extend(rows.examples);
    }
    Ok(set)
}

fn parse(wanted: &Wanted, file: &DataFile, bytes: Vec<u8>) -> Result<Rows> {
    let path = &file.path;
    match file.format {
        FileFormat::Tsv => tsv::parse(wanted, path, &bytes),
        FileFormat::Csv => csv::parse(wanted, path, &bytes).map_err(|error| other_kind(path, &bytes, error)),
        FileFormat::Jsonl => {
            jsonl::parse(wanted, path, &bytes).map_err(|error| other_kind(path, &bytes, error))
        }
        FileFormat::Parquet if !bytes.starts_with(b"PAR1") => Err(other_kind(
            path,
            &bytes,
            Error::data(format!("{} is no Parquet file. Fetch it again.", path.display())),
        )),
        FileFormat::Parquet => parquet::parse(wanted, path, bytes),
    }
}

/// The error for a file of another kind, if it is recognised.
fn other_kind(path: &Path, bytes: &[u8], error: Error) -> Error {
    what_is(bytes)
        .map_or(error, |kind| Error::data(format!("{} is {}. {}", path.display(), kind.name, kind.remedy)))
}

/// What a user has to know of how a file was read.
fn notes(spec: &TaskSpec, file: &DataFile, rows: &Rows) -> Vec<String> {
    let path = file.path.display();
    let skipped = (rows.skipped > 0).then(|| {
        format!(
            "{path}: {} rows have no label, since the annotators did not agree; they are skipped.",
            rows.skipped
        )
    });
    let order = rows.assumed_order.then(|| {
        format!(
            "{path}: labels are whole numbers without names; they are taken in the order of the hub's data set: {}.",
            spec.hub_labels.join(", ")
        )
    });
    skipped.into_iter().chain(order).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Label;

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
            (TaskId::Rte, "RTE/train.xlsx", "If train.xlsx is that file"),
            (TaskId::Rte, "RTE/test.tsv", "A folder of RTE contains train.tsv and dev.tsv;"),
        ] {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), there, "");
            let text = load(task.spec(), root.path()).unwrap_err().to_string();
            assert!(text.starts_with("cannot read ") && text.contains("train.tsv: no such file"), "{text}");
            let (_, name) = there.split_once('/').unwrap();
            assert!(text.contains(&format!("contains: {name}.")) && text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn test_sets_have_no_labels_and_the_official_index() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            "MNLI/test_matched.tsv",
            "index\tgenre\tsentence1\tsentence2\n7\tx\ta\tb\n8\tx\tc\td\n",
        );
        write(root.path(), "MNLI/test_mismatched.tsv", "sentence1\tsentence2\na\tb\n");
        write(root.path(), "CoLA/test.tsv", "index\tsentence\n3\tIt rains.\n");
        write(root.path(), "QQP/test.tsv", "id\tquestion1\tquestion2\n11\ta\tb\n");
        let sets = load_test(TaskId::Mnli.spec(), root.path()).unwrap();
        let names: Vec<_> = sets.iter().map(|set| (&*set.name, set.index.join(" "))).collect();
        assert_eq!(names, [("test_matched", "7 8".to_owned()), ("test_mismatched", "0".to_owned())]);
        let second = Some("d".to_owned());
        assert_eq!(sets[0].examples[1], Example { first: "c".into(), second, label: Label::Unknown });
        assert_eq!(sets[1].sha256.keys().collect::<Vec<_>>(), ["test_mismatched.tsv"]);
        let cola = &load_test(TaskId::Cola.spec(), root.path()).unwrap()[0];
        assert_eq!((&*cola.index[0], &*cola.examples[0].first), ("3", "It rains."));
        assert_eq!(load_test(TaskId::Qqp.spec(), root.path()).unwrap()[0].index, ["11"]);
        let text = load_test(TaskId::Rte.spec(), root.path()).unwrap_err().to_string();
        assert!(text.contains("no folder ") && text.contains("RTE"), "{text}");
        let error = load_test(TaskId::Demo.spec(), root.path()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("demo has no test set"), "{error}");
    }

    #[test]
    fn development_sets_are_read_without_the_training_data() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "MNLI/dev_matched.tsv", MNLI);
        write(root.path(), "MNLI/dev_mismatched.tsv", MNLI);
        let sets = load_dev(TaskId::Mnli.spec(), root.path()).unwrap();
        let names: Vec<_> = sets.iter().map(|set| (&*set.name, set.examples[0].label)).collect();
        assert_eq!(names, [("dev_matched", Label::Class(2)), ("dev_mismatched", Label::Class(2))]);
        assert_eq!(load_dev(TaskId::Demo.spec(), root.path()).unwrap()[0].index[799], "799");
    }
}
