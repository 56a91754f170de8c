use super::*;
use crate::{
    choice::Choice,
    task::{Columns, Label, Labels, MetricId, load, load_test},
};
use serde_json::json;

const PAIRS: &str = r#"
name = "claims"
about = "does a source support a claim"
train = ["a.csv", "b.csv"]
dev = "dev.jsonl"
test = "test.csv"
labels = [{ value = 0, name = "refuted" }, { value = 1, name = "supported" }, "unclear"]
metrics = ["matthews"]

[columns]
first = "claim"
second = "source"
label = "verdict"
index = "key"
"#;

/// What reading a task's file gives.
fn read(text: &str) -> Result<Definition> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("task.toml");
    std::fs::write(&path, text).unwrap();
    Definition::read(&path)
}

/// The error without the path of its file, which is `task.toml`.
fn refusal(text: &str) -> String {
    let error = read(text).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    text[text.find("task.toml").unwrap()..].to_owned()
}

#[test]
fn a_file_becomes_a_task_with_all_that_a_registered_one_has() {
    let definition = read(PAIRS).unwrap();
    let task = definition.clone().task().unwrap();
    let spec = task.spec();
    assert_eq!((task.name(), spec.name, spec.about), ("claims", "claims", "does a source support a claim"));
    assert_eq!(spec.labels, Labels::Classes(&["refuted", "supported", "unclear"]));
    assert_eq!(
        [spec.class("0"), spec.class("supported"), spec.class("unclear"), spec.class("2")],
        [Some(0), Some(1), Some(2), None]
    );
    assert_eq!(
        (spec.metric, spec.metrics),
        (MetricId::Accuracy, &[MetricId::Accuracy, MetricId::Matthews][..])
    );
    assert_eq!(spec.columns, Columns::Named { first: "claim", second: Some("source"), label: "verdict" });
    // Equal definitions are one task; another folder is another.
    assert_eq!(definition.clone().task().unwrap(), task);
    let moved = Definition { folder: "/elsewhere".into(), ..definition.clone() };
    assert_ne!(moved.clone().task().unwrap(), task);
    assert_eq!(moved.content(), definition.content());
    assert_eq!(definition.content()["train"], json!(["a.csv", "b.csv"]));
}

#[test]
fn a_task_is_written_as_its_definition_and_read_back() {
    let task = read(PAIRS).unwrap().task().unwrap();
    let json = serde_json::to_string(&task).unwrap();
    assert_eq!(serde_json::from_str::<TaskId>(&json).unwrap(), task);
    let toml = toml::Value::try_from(task).unwrap();
    assert_eq!(toml.clone().try_into::<TaskId>().unwrap(), task);
    assert!(toml.is_table() && toml["columns"]["index"].as_str() == Some("key"));
    let wrong = json.replace("\"claims\"", "\"rte\"");
    let error = serde_json::from_str::<TaskId>(&wrong).unwrap_err().to_string();
    assert!(error.contains("rte is a registered task"), "{error}");
}

#[test]
fn the_files_of_a_task_are_read_in_their_formats_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("task.toml", PAIRS);
    write("a.csv", "key,claim,source,verdict\nk1,\"a, b\",s,0\n");
    write("b.csv", "verdict,source,claim\nunclear,t,c\n");
    write("dev.jsonl", "{\"claim\": \"d\", \"source\": \"u\", \"verdict\": 1}\n");
    write("test.csv", "claim,source,key\ne,v,k9\n");
    let spec = Definition::read(&folder.path().join("task.toml")).unwrap().task().unwrap().spec();
    // Whatever folder of data is named.
    let data = load(spec, Path::new("elsewhere")).unwrap();
    let train: Vec<_> =
        data.train.iter().map(|e| (&*e.first, e.second.as_deref().unwrap(), e.label)).collect();
    assert_eq!(train, [("a, b", "s", Label::Class(0)), ("c", "t", Label::Class(2))]);
    assert_eq!(data.dev[0].label, Label::Class(1));
    assert_eq!(data.sha256.keys().collect::<Vec<_>>(), ["a.csv", "b.csv", "dev.jsonl"]);
    assert_eq!(load_test(spec, Path::new("")).unwrap()[0].index, ["k9"]);
    std::fs::remove_file(folder.path().join("b.csv")).unwrap();
    let error = load(spec, Path::new("")).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("b.csv"), "{error}");
}

#[test]
fn a_table_without_a_header_and_a_score() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let text = "name = \"near\"\ntrain = \"train.txt\"\ndev = \"dev.data\"\nformat = \"TSV\"\n\
                score = { min = -1, max = 1 }\ncolumns = { first = 2, second = 0, label = 1 }\n";
    write("task.toml", text);
    write("train.txt", "b\t-0.5\ta\textra\n");
    write("dev.data", "d\t1\tc\n");
    let spec = Definition::read(&folder.path().join("task.toml")).unwrap().task().unwrap().spec();
    assert_eq!((spec.metric, spec.metrics.len(), spec.num_labels()), (MetricId::Corr, 3, 1));
    let data = load(spec, Path::new("")).unwrap();
    assert_eq!((&*data.train[0].first, data.train[0].label), ("a", Label::Score(-0.5)));
    write("train.txt", "b\t-1.5\ta\n");
    let text = load(spec, Path::new("")).unwrap_err().to_string();
    assert!(
        text.contains("train.txt:1: unknown label \"-1.5\"") && text.contains("a number from -1 to 1"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_is_named_with_line_and_key() {
    let small = "name = \"x\"\ntrain = \"a.csv\"\ndev = \"b.csv\"\nlabels = [\"no\", \"yes\"]\ncolumns = { first = \"t\", label = \"l\" }\n";
    read(small).unwrap();
    for (was, now, wanted) in [
        (
            "name = \"x\"",
            "name = \"SST-2\"",
            "task.toml:1: name: sst2 is a registered task. Give yours another name",
        ),
        ("name = \"x\"", "name = \"../x\"", "task.toml:1: name: expected up to 64 of the characters"),
        ("name = \"x\"\n", "", "task.toml: name: the task needs a name"),
        ("name = \"x\"", "name = 3", "task.toml:1: name: expected a text"),
        ("labels", "lables", "task.toml:4: unknown key lables. Did you mean labels?"),
        ("first =", "frist =", "task.toml:5: unknown key columns.frist. Did you mean first?"),
        ("first = \"t\", ", "", "task.toml:5: columns.first: it is missing"),
        ("[\"no\", \"yes\"]", "[\"no\"]", "task.toml:4: labels: one class leaves nothing to learn"),
        ("[\"no\", \"yes\"]", "[\"no\", \"no\"]", "task.toml:4: labels: no and no cannot be told apart"),
        ("[\"no\", \"yes\"]", "[\"no\", { value = \"no\", name = \"yes\" }]", "cannot be told apart"),
        ("[\"no\", \"yes\"]", "\"no\"", "task.toml:4: labels: expected a list of names"),
        ("labels = [\"no\", \"yes\"]", "", "task.toml: labels: list the names of the classes"),
        (
            "labels = [\"no\", \"yes\"]",
            "score = { min = 5, max = 0 }",
            "task.toml:4: score: min has to be below max",
        ),
        ("labels = [\"no\", \"yes\"]", "score = { min = 5 }", "task.toml:4: score: expected { min"),
        ("dev = \"b.csv\"", "dev = \"b.xls\"", "task.toml:3: dev: the ending of b.xls tells no format"),
        ("dev = \"b.csv\"", "dev = \"a.csv\"", "task.toml:3: dev: a.csv is the training data, too"),
        ("dev = \"b.csv\"\n", "", "task.toml: dev: name at least one file"),
        (
            "dev = \"b.csv\"",
            "dev = \"b.csv\"\nformat = \"parqet\"",
            "task.toml:4: format: expected tsv, csv, jsonl or parquet; did you mean parquet?",
        ),
        (
            "dev = \"b.csv\"",
            "dev = \"b.csv\"\nmetric = \"corr\"",
            "task.toml:4: metric: corr is no metric for two classes: accuracy, f1, matthews are.",
        ),
        ("dev = \"b.csv\"", "dev = \"b.csv\"\nmetric = \"acuracy\"", "Did you mean accuracy?"),
        ("first = \"t\"", "first = 0", "task.toml:5: columns: name all columns, or give the positions"),
        ("name = \"x\"", "name = \"x", "task.toml:1: not valid TOML"),
    ] {
        assert!(small.contains(was), "{was}");
        let text = refusal(&small.replace(was, now));
        assert!(text.contains(wanted), "{now}: {text}");
    }
    let text = Definition::read(Path::new("nowhere/task.toml")).unwrap_err().to_string();
    assert!(
        text.contains("nowhere/task.toml") && text.contains("Check the path given with --task"),
        "{text}"
    );
}

#[test]
fn a_path_is_told_from_a_name() {
    for path in ["./x", "x.toml", "a/b", "X.TOML"] {
        assert!(Definition::is_path(path), "{path}");
    }
    for name in ["rte", "SST-2", "toml", "x.tomlx"] {
        assert!(!Definition::is_path(name), "{name}");
    }
}
