//! Tests: one task in several formats gives the same examples; what files state and what they leave open.

use super::*;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/datasets.json")).unwrap()
}

/// The folder of a format's files, by their names.
fn folder(files: &Value) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files.as_object().unwrap() {
        let text = text.as_str().unwrap();
        write(
            root.path(),
            name,
            &if name.ends_with(".parquet") { bytes(text) } else { text.as_bytes().to_vec() },
        );
    }
    root
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn write(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_task_has_the_same_examples_in_every_format() {
    let golden = golden();
    let tasks = golden["tasks"].as_object().unwrap();
    assert_eq!(tasks.len(), 5);
    for (task, formats) in tasks {
        let spec = task.parse::<TaskId>().unwrap().spec();
        let tsv = load(spec, folder(&formats["tsv"]).path()).unwrap();
        assert_eq!((tsv.train.len(), tsv.dev.len()), (8, 5), "{task}");
        assert!(tsv.train.iter().any(|example| example.first.contains('"')) && tsv.notes.is_empty());
        for format in ["jsonl", "csv", "hub"] {
            let root = folder(&formats[format]);
            let found = load(spec, root.path()).unwrap_or_else(|error| panic!("{task} {format}: {error}"));
            assert_eq!(found.train, tsv.train, "{task} {format}");
            assert_eq!(found.dev, tsv.dev, "{task} {format}");
            assert_eq!(found.dev_mismatched, tsv.dev_mismatched, "{task} {format}");
            assert_eq!(found.sha256.len(), formats[format].as_object().unwrap().len(), "{task} {format}");
            // Numbers without names have been taken in the hub's order, which is said.
            let assumed = format == "jsonl" && matches!(&**task, "mnli" | "qnli");
            assert_eq!(!found.notes.is_empty(), assumed, "{task} {format}: {:?}", found.notes);
            let hash = |path: &Path| Ok(std::fs::read(path).unwrap().len().to_string());
            let names = |hashes: BTreeMap<String, String>| hashes.into_keys().collect::<Vec<_>>();
            assert_eq!(
                names(hashes(spec, root.path(), hash).unwrap()),
                names(found.sha256),
                "{task} {format}"
            );
        }
    }
}

#[test]
fn the_order_of_labels_that_is_taken_for_granted_is_said() {
    let root = folder(&golden()["tasks"]["mnli"]["jsonl"]);
    let notes = load(TaskId::Mnli.spec(), root.path()).unwrap().notes;
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(
        notes[0].contains("train.jsonl") && notes[0].contains("entailment, neutral, contradiction"),
        "{notes:?}"
    );
}

/// What reading RTE's training data says, with this file and a development set beside it.
fn refusal(name: &str, content: &[u8]) -> String {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "RTE/dev.tsv", b"sentence1\tsentence2\tlabel\na\tb\tentailment\n");
    write(root.path(), name, content);
    let error = load(TaskId::Rte.spec(), root.path()).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    error.to_string().replace(&format!("{}/", root.path().display()), "")
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_line_and_remedy() {
    let rows: [(&str, &str, &[&str]); 12] = [
        (
            "train.jsonl",
            "{\"sentence1\": \"a\", \"sentence2\": \"b\"}\n",
            &["column \"label\" is missing", "\"sentence2\""],
        ),
        (
            "train.jsonl",
            "{\"sentence1\": \"a\",\n",
            &["RTE/train.jsonl:1: not a JSON object", "Each line holds one"],
        ),
        ("train.jsonl", "[{}]", &["is one JSON list", "jq -c '.[]'"]),
        ("train.jsonl", "\n\n", &["no rows"]),
        (
            "train.jsonl",
            "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n\n{\"sentence1\": 3, \"sentence2\": \"b\", \"label\": 1}",
            &["RTE/train.jsonl:3: \"sentence1\" is not a text"],
        ),
        (
            "train.jsonl",
            "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": -1}",
            &["RTE/train.jsonl:1: the row has no label", "test files"],
        ),
        (
            "train.jsonl",
            "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 2}",
            &["unknown label \"2\"", "write the names"],
        ),
        (
            "train.csv",
            "sentence1,sentence2,label\na,b,entailment\na,b\n",
            &["RTE/train.csv:3: the row has 2 columns instead of 3", "double quotes"],
        ),
        (
            "train.csv",
            "sentence1,sentence2,lable\na,b,entailment\n",
            &["\"label\" is missing", "Is \"lable\" that column?"],
        ),
        ("train.csv", "sentence1,sentence2,label\na,b,1.0\n", &["RTE/train.csv:2: unknown label \"1.0\""]),
        (
            "train.csv",
            "sentence1,sentence2,label\na,\"b\n\nc\",maybe\n",
            &["unknown label \"maybe\"", "\"entailment\", \"not_entailment\""],
        ),
        ("train.csv", "label,sentence1,sentence2,label\na,b,c,d\n", &["\"label\" is there more than once"]),
    ];
    for (name, content, wanted) in rows {
        let text = refusal(&format!("RTE/{name}"), content.as_bytes());
        assert!(wanted.iter().all(|part| text.contains(part)), "{content:?}: {text}");
    }
    assert!(
        refusal("RTE/train.csv", b"sentence1,sentence2,label\na,\xff,b\n")
            .contains("RTE/train.csv:2: invalid UTF-8")
    );
    assert!(refusal("RTE/train.csv", b"\x1f\x8b\x08\0").contains("is compressed with gzip"));
    assert!(
        refusal("RTE/train.parquet", b"version https://git-lfs.github.com/spec/v1\n")
            .contains("Git LFS pointer")
    );
    assert!(refusal("RTE/train.parquet", b"PAR1 and so on").contains("cannot be read"));
}

#[test]
fn all_shards_have_to_be_there() {
    let files = golden()["tasks"]["qnli"]["hub"].clone();
    let root = folder(&files);
    std::fs::remove_file(root.path().join("qnli/train-00000-of-00002.parquet")).unwrap();
    let text = load(TaskId::Qnli.spec(), root.path()).unwrap_err().to_string();
    assert!(text.contains("of the files of train, 1 are there") && text.contains("one of 2"), "{text}");
}

#[test]
fn labels_of_another_task_are_not_taken_by_their_numbers() {
    // The names in QNLI's files are those of RTE, too; CoLA's are not MRPC's.
    let hub = golden()["tasks"]["cola"]["hub"].clone();
    let root = tempfile::tempdir().unwrap();
    for (name, text) in hub.as_object().unwrap() {
        write(root.path(), &name.replace("cola/", "sst2/"), &bytes(text.as_str().unwrap()));
    }
    let text = load(TaskId::Sst2.spec(), root.path()).unwrap_err().to_string();
    assert!(text.contains(", row 1: unknown label") && text.contains("it belongs to another task"), "{text}");
}

/// The first file of QNLI's training data, whose columns are not compressed.
fn plain_parquet() -> Vec<u8> {
    bytes(golden()["tasks"]["qnli"]["hub"]["qnli/train-00000-of-00002.parquet"].as_str().unwrap())
}

#[test]
fn a_parquet_file_that_claims_more_than_it_can_hold_is_refused_at_once() {
    let spec = TaskId::Qnli.spec();
    let wanted = rows::Wanted { spec, labels: true, only: None };
    let good = plain_parquet();
    assert_eq!(parquet::parse(&wanted, Path::new("x"), good.clone()).unwrap().examples.len(), 5);
    // The file's first page begins behind PAR1: type (a byte), then the size of its content, here 2 GiB − 1.
    assert_eq!((good[4], good[6]), (0x15, 0x15));
    let length = good[7..].iter().position(|byte| *byte < 128).unwrap() + 1;
    let mut claims = good.clone();
    claims.splice(7..7 + length, [0xfe, 0xff, 0xff, 0xff, 0x0f]);
    let text = parquet::parse(&wanted, Path::new("x"), claims).unwrap_err().to_string();
    assert!(text.contains("claim to hold many times its size"), "{text}");
    for end in 0..good.len() {
        let text = parquet::parse(&wanted, Path::new("x"), good[..end].to_vec()).unwrap_err().to_string();
        assert!(text.starts_with("x cannot be read: ") && text.ends_with("fetch it again."), "{text}");
    }
}

#[test]
fn sets_of_inference_are_read_in_their_publishers_layouts() {
    let root = tempfile::tempdir().unwrap();
    let sick = "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n\
                1\ta\tb\tNEUTRAL\t4.5\tTRAIN\n2\tc\td\tENTAILMENT\t3.7\tTRIAL\n7\te\tf\tCONTRADICTION\t1\tTEST\n";
    let snli =
        |label: &str| format!("gold_label\tsentence1\tsentence2\tpairID\n{label}\ta\tb\tx\n-\tc\td\ty\n");
    let hans = "gold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\theuristic\n\
                non-entailment\t( a )\ta\tb\tex0\tlexical_overlap\nentailment\t( a )\tc\td\tex1\tsubsequence\n";
    let full = "Lexical Semantics\tLogic\tDomain\tPremise\tHypothesis\tLabel\n\t\tNews\ta\tb\tentailment\n";
    for (name, text) in [
        ("SICK/SICK.txt", sick),
        ("SNLI/snli_1.0_train.txt", &*snli("neutral")),
        ("SNLI/snli_1.0_dev.txt", &*snli("contradiction")),
        ("SciTailV1.1/tsv_format/scitail_1.0_train.tsv", "a\tb\tentails\nc\td\tneutral\n"),
        ("SciTailV1.1/tsv_format/scitail_1.0_dev.tsv", "a \"b\tc\tneutral\n"),
        ("HANS/heuristics_evaluation_set.txt", hans),
        ("diagnostic/diagnostic-full.tsv", full),
        ("diagnostic/diagnostic.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n"),
    ] {
        write(root.path(), name, text.as_bytes());
    }
    let of = |id: TaskId| load(id.spec(), root.path()).unwrap_or_else(|error| panic!("{id}: {error}"));
    let class = |example: &Example| example.label.class().unwrap();
    let sick = of(TaskId::SickE);
    assert_eq!([&sick.train, &sick.dev].map(|set| (set.len(), class(&set[0]))), [(1, 2), (1, 1)]);
    assert_eq!(of(TaskId::SickR).train[0].label, Label::Score(4.5));
    let test = &load_test(TaskId::SickE.spec(), root.path()).unwrap()[0];
    assert_eq!((&*test.index[0], &*test.examples[0].first), ("7", "e"));
    let snli = of(TaskId::Snli);
    assert_eq!(
        (snli.train.len(), class(&snli.train[0]), class(&snli.dev[0]), snli.notes.len()),
        (1, 2, 0, 2)
    );
    assert!(snli.notes[0].contains("1 rows have no label"), "{:?}", snli.notes);
    let scitail = of(TaskId::Scitail);
    assert_eq!((class(&scitail.train[0]), class(&scitail.dev[0]), &*scitail.dev[0].first), (0, 1, "a \"b"));
    let dev = |id: TaskId| load_dev(id.spec(), root.path()).unwrap().remove(0);
    let hans = dev(TaskId::Hans);
    assert_eq!((hans.examples.iter().map(class).collect::<Vec<_>>(), &*hans.index[1]), (vec![1, 0], "ex1"));
    assert_eq!((class(&dev(TaskId::Ax).examples[0]), &*dev(TaskId::Ax).name), (1, "dev"));
    assert_eq!(load_test(TaskId::Ax.spec(), root.path()).unwrap()[0].index, ["0"]);
    let error = load(TaskId::Ax.spec(), root.path()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("ax has no training data"), "{error}");
}
