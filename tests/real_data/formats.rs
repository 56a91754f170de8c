//! Real data in other formats and layouts, test sets, and the sets of natural-language inference beside GLUE.

use super::{shared, task};
use flate2::read::DeflateDecoder;
use lottery::task::{Definition, Example, Label, TaskId, load, load_dev, load_test};
use serde_json::json;
use std::{fs, io::Read, path::Path};

/// How many examples have each class.
fn classes(examples: &[Example]) -> Vec<usize> {
    let mut counts = vec![0; 3];
    examples.iter().for_each(|example| counts[example.label.class().unwrap() as usize] += 1);
    counts
}

#[test]
fn every_test_set_has_the_official_number_of_examples_and_their_index() {
    let Some(shared) = shared("every_test_set_has_the_official_number_of_examples_and_their_index") else {
        return;
    };
    for (id, count) in [
        (TaskId::Cola, 1063),
        (TaskId::Sst2, 1821),
        (TaskId::Mrpc, 1725),
        (TaskId::Stsb, 1379),
        (TaskId::Rte, 3000),
        (TaskId::Wnli, 146),
    ] {
        let sets = load_test(id.spec(), &shared.join("glue")).unwrap();
        assert_eq!((sets.len(), &*sets[0].name, sets[0].examples.len()), (1, "test", count), "{id}");
        assert!(sets[0].index.iter().zip(0..).all(|(index, n)| *index == n.to_string()), "{id}");
        assert!(
            sets[0].examples.iter().all(|e| e.label == Label::Unknown && !e.first.trim().is_empty()),
            "{id}"
        );
    }
}

#[test]
fn real_data_are_the_same_in_json_lines_and_csv() {
    let Some(shared) = shared("real_data_are_the_same_in_json_lines_and_csv") else { return };
    for (id, folder) in
        [(TaskId::Cola, "cola"), (TaskId::Mrpc, "mrpc"), (TaskId::Rte, "rte"), (TaskId::Stsb, "stsb")]
    {
        let data = task(&shared, id);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(folder)).unwrap();
        let names = id.spec().label_names();
        for (split, ending, examples) in [("train", "jsonl", &data.train), ("validation", "csv", &data.dev)] {
            let label = |label: Label| match label {
                Label::Score(score) => json!(score),
                other => json!(names[other.class().unwrap() as usize]),
            };
            let rows = examples.iter().map(|e| (&e.first, e.second.as_deref(), label(e.label)));
            let path = root.path().join(folder).join(format!("{split}.{ending}"));
            if ending == "jsonl" {
                let line = |(first, second, label): (&String, Option<&str>, _)| match second {
                    Some(second) => {
                        format!("{}\n", json!({ "sentence1": first, "sentence2": second, "label": label }))
                    }
                    None => format!("{}\n", json!({ "sentence": first, "label": label })),
                };
                fs::write(path, rows.map(line).collect::<String>()).unwrap();
                continue;
            }
            let mut file = csv::Writer::from_path(path).unwrap();
            let is_pair = examples[0].second.is_some();
            let header: &[&str] =
                if is_pair { &["label", "sentence1", "sentence2"] } else { &["label", "sentence"] };
            file.write_record(header).unwrap();
            for (first, second, label) in rows {
                let label = label.as_str().map_or(label.to_string(), str::to_owned);
                file.write_record([label.as_str(), first].into_iter().chain(second)).unwrap();
            }
        }
        let found = load(id.spec(), root.path()).unwrap();
        assert!(found.train == data.train && found.dev == data.dev, "{id}");
    }
}

#[test]
fn snli_is_read_from_its_official_layout_without_the_pairs_that_have_no_label() {
    let Some(shared) = shared("snli_is_read_from_its_official_layout_without_the_pairs_that_have_no_label")
    else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("snli_1.0");
    fs::create_dir(&folder).unwrap();
    let lines = |name: String| fs::read_to_string(shared.join("data/snli").join(name)).unwrap();
    for (from, to) in [("dev", "train"), ("dev", "dev"), ("test", "test")] {
        let [first, second, labels] = ["s1", "s2", "labels"].map(|part| lines(format!("{part}.{from}")));
        let rows = first.lines().zip(second.lines()).zip(labels.lines());
        let mut text = String::new();
        for (n, ((first, second), label)) in rows.enumerate() {
            let row = |label: &str| json!({ "annotator_labels": [label], "gold_label": label, "pairID": n.to_string(), "sentence1": first, "sentence2": second });
            text += &format!("{}\n", row(label));
            // Where the annotators did not agree.
            if n % 63 == 0 {
                text += &format!("{}\n", row("-"));
            }
        }
        fs::write(folder.join(format!("snli_1.0_{to}.jsonl")), text).unwrap();
    }
    let spec = TaskId::Snli.spec();
    let data = load(spec, root.path()).unwrap();
    // Contradiction, entailment, neutral.
    assert_eq!(classes(&data.dev), [3278, 3329, 3235]);
    assert_eq!(data.notes.len(), 2);
    assert!(
        data.notes[1].contains("157 rows have no label") && data.notes[1].contains("snli_1.0_dev"),
        "{:?}",
        data.notes
    );
    let test = &load_test(spec, root.path()).unwrap()[0];
    assert_eq!((test.examples.len(), &*test.index[9979]), (9980, "9823"));
}

#[test]
fn scitail_is_read_from_its_official_layout() {
    let Some(shared) = shared("scitail_is_read_from_its_official_layout") else { return };
    let text = fs::read_to_string(shared.join("data/scitail/rmib_scitail_test.txt")).unwrap();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("SciTailV1.1/tsv_format");
    fs::create_dir_all(&folder).unwrap();
    let official = |line: &str| {
        let (texts, label) = line.trim_end().rsplit_once('\t').unwrap();
        format!("{texts}\t{}\n", ["entails", "neutral"][label.parse::<usize>().unwrap()])
    };
    for split in ["train", "dev"] {
        fs::write(
            folder.join(format!("scitail_1.0_{split}.tsv")),
            text.lines().map(official).collect::<String>(),
        )
        .unwrap();
    }
    let data = load(TaskId::Scitail.spec(), root.path()).unwrap();
    assert_eq!(classes(&data.dev), [842, 1284, 0]);
    assert!(data.dev.iter().all(|example| example.second.is_some()));
}

/// The files of a zip archive whose entries are stored or deflated.
fn unzip(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |at: usize, width: usize| {
        bytes[at..at + width].iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte))
    };
    // The end of the central directory says where it begins.
    let end = bytes.windows(4).rposition(|mark| mark == b"PK\x05\x06").unwrap();
    let (count, mut at) = (number(end + 10, 2), number(end + 16, 4));
    let mut files = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(bytes[at + 46..at + 46 + number(at + 28, 2)].to_vec()).unwrap();
        let (size, local) = (number(at + 20, 4), number(at + 42, 4));
        let from = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        let mut content = Vec::new();
        match number(at + 10, 2) {
            0 => content.extend_from_slice(&bytes[from..from + size]),
            _ => _ = DeflateDecoder::new(&bytes[from..from + size]).read_to_end(&mut content).unwrap(),
        }
        files.push((name, content));
        at += 46 + number(at + 28, 2) + number(at + 30, 2) + number(at + 32, 2);
    }
    files
}

#[test]
fn a_layout_that_is_nobodys_is_a_task_of_ones_own() {
    let Some(shared) = shared("a_layout_that_is_nobodys_is_a_task_of_ones_own") else { return };
    let root = tempfile::tempdir().unwrap();
    for (name, content) in unzip(&fs::read(shared.join("data/scitail/SciTail.zip")).unwrap()) {
        if let Some((_, name)) = name.rsplit_once('/').filter(|(_, name)| !name.is_empty()) {
            fs::write(root.path().join(name), content).unwrap();
        }
    }
    // Most of its labels are numbers, 499 are words.
    let toml = "name = \"scitail-numbers\"\ntrain = \"train.tsv\"\ndev = \"dev.tsv\"\ntest = \"test.tsv\"\n\
                labels = [{ value = 1, name = \"entails\" }, { value = 0, name = \"neutral\" }]\n\
                [columns]\nfirst = \"premise\"\nsecond = \"hypothesis\"\nlabel = \"label\"\n";
    fs::write(root.path().join("scitail.toml"), toml).unwrap();
    let spec = Definition::read(&root.path().join("scitail.toml")).unwrap().task().unwrap().spec();
    let data = load(spec, Path::new("")).unwrap();
    assert_eq!((classes(&data.train), classes(&data.dev)), (vec![8602, 14994, 0], vec![657, 647, 0]));
    let test = &load_test(spec, Path::new("")).unwrap()[0];
    assert_eq!((test.examples.len(), &*test.index[2125]), (2126, "2125"));
}

#[test]
fn hans_has_as_many_entailments_as_others() {
    let Some(shared) = shared("hans_has_as_many_entailments_as_others") else { return };
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("HANS")).unwrap();
    let to = root.path().join("HANS/heuristics_evaluation_set.txt");
    fs::copy(shared.join("data/hans/hans_eval_derived.tsv"), to).unwrap();
    let sets = load_dev(TaskId::Hans.spec(), root.path()).unwrap();
    assert_eq!((sets.len(), classes(&sets[0].examples)), (1, vec![15000, 15000, 0]));
}
