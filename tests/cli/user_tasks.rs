//! Tasks that the user describes in a TOML file, and those that only evaluate.

use crate::fixture::{Bench, json_file, lottery, printed, refused, succeeded};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The example of the documentation.
fn documented() -> String {
    let docs = include_str!("../../docs/models-and-data.md");
    let from = docs.find("```toml\nname = \"headlines\"").expect("the documentation has an example") + 8;
    docs[from..].split("```").next().unwrap().to_owned()
}

const SPORTS: &[&str] = &["match", "team", "goal"];
const OTHER: &[&str] = &["market", "court", "weather"];

/// A folder with the documented task and a few rows of its data.
fn write(folder: &Path, toml: &str) {
    fs::create_dir_all(folder).unwrap();
    let row = |n: usize| {
        (format!("{}, \"big\" news {n}", if n % 2 == 1 { SPORTS } else { OTHER }[n / 2 % 3]), n % 2)
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let train: String = (0..24).map(|n| format!("{n},{},{}\n", row(n).1, quoted(&row(n).0))).collect();
    let dev = (24..36).map(|n| format!("{}\n", json!({ "headline": row(n).0, "topic": row(n).1, "id": n })));
    fs::write(folder.join("headlines.toml"), toml).unwrap();
    fs::write(folder.join("train.csv"), format!("id,topic,headline\n{train}")).unwrap();
    fs::write(folder.join("dev.jsonl"), dev.collect::<String>()).unwrap();
    fs::write(folder.join("test.csv"), "id,headline\n36,a match\n").unwrap();
}

/// The record of a run of the task in this folder, by the embedded model.
fn record(directory: &Path, store: &Path, arguments: &[&str]) -> Value {
    let mut command = lottery();
    command.current_dir(directory).args(["run", "--model", "tiny", "--threads", "1", "--json", "--quiet"]);
    command.arg("--store").arg(store);
    command.args(["--set", "train.epochs=2", "--set", "data.max_length=16"]).args(arguments);
    printed(&succeeded(&mut command))
}

#[test]
fn the_documented_task_is_run_and_its_content_decides_what_is_computed_again() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(&root.join("here"), &documented());
    let store = &root.join("runs");
    let first = record(root, store, &["--task", "./here/headlines.toml"]);
    assert_eq!((&first["task"], &first["metric"]), (&json!("headlines"), &json!("accuracy")));
    let metrics: Vec<&String> = first["full"]["metrics"].as_object().unwrap().keys().collect();
    assert_eq!(metrics, ["accuracy", "f1"]);
    assert_eq!(
        (&first["data"]["train"]["examples"], &first["data"]["dev"]["examples"]),
        (&json!(24), &json!(12))
    );
    let definition = &first["task_definition"];
    assert_eq!(definition["labels"][1], json!({ "name": "sports", "value": "1" }));
    assert!(definition.get("folder").is_none() && definition.get("about").is_none(), "{definition}");
    let last = root.join("runs/results/headlines/heads+ffns/good/seed-1337.json");
    assert_eq!(json_file(&last), first);
    // The names of the classes are those of the saved model.
    let stage = root.join("runs/stages").join(first["stages"]["finetune"].as_str().unwrap());
    assert_eq!(json_file(&stage.join("config.json"))["id2label"], json!({ "0": "other", "1": "sports" }));
    let ticket = root.join("runs/stages").join(first["stages"]["search"].as_str().unwrap());
    assert_eq!(json_file(&ticket.join("ticket.json"))["task"], "headlines");

    // Somewhere else, with a comment and another line of help: the same stages.
    write(&root.join("there"), &format!("# moved\n{}", documented().replace("about sports", "on sports")));
    let moved = record(&root.join("there"), store, &["--task", "headlines.toml"]);
    assert_eq!(moved["stages"], first["stages"]);
    // Other names of the classes, or other data: other stages.
    write(&root.join("there"), &documented().replace("\"sports\"", "\"sport\""));
    let renamed = record(root, store, &["--task", "there/headlines.toml"]);
    assert_ne!(renamed["stages"]["finetune"], first["stages"]["finetune"]);
    write(&root.join("there"), &documented());
    let text = fs::read_to_string(root.join("there/train.csv")).unwrap();
    fs::write(root.join("there/train.csv"), text.replace("team", "cup")).unwrap();
    let edited = record(root, store, &["--task", "there/headlines.toml"]);
    assert_ne!(edited["stages"]["finetune"], first["stages"]["finetune"]);
}

#[test]
fn a_sweep_carries_a_users_task_and_does_not_need_its_file_again() {
    let bench = Bench::new("SST-2");
    write(&bench.path("own"), &documented());
    bench.write(
        "sweep.toml",
        "model = \"model\"\n[grid]\ntask = [\"sst2\", \"own/headlines.toml\"]\n\
         [train]\nepochs = 1\nbatch_size = 8\n[data]\ndir = \"glue\"\nmax_length = 32\n",
    );
    let sweep = |arguments: &[&str]| {
        let mut command = lottery();
        command
            .current_dir(bench.root.path())
            .args(["sweep", "sweep.toml", "--store", "runs"])
            .args(arguments);
        command
    };
    succeeded(&mut sweep(&["--quiet"]));
    for task in ["sst2", "headlines"] {
        let record = json_file(&bench.path(&format!("runs/results/{task}/heads+ffns/good/seed-1337.json")));
        assert_eq!(record["task"], task);
    }
    bench.remove("own/headlines.toml");
    let mut status = lottery();
    status.current_dir(bench.root.path()).args(["status", "--store", "runs"]);
    let said = String::from_utf8(succeeded(&mut status).stdout).unwrap();
    assert!(said.contains("headlines"), "{said}");
}

#[test]
fn a_task_that_cannot_be_run_is_refused_with_the_remedy() {
    let bench = Bench::new("SST-2");
    refused(
        &mut bench.run("ax", &[]),
        2,
        &["ax has no training data", "--task mnli", "lottery eval MODEL --task ax"],
    );
    refused(&mut bench.run("hans", &[]), 2, &["trained on mnli"]);
    refused(&mut bench.run("./none.toml", &[]), 2, &["none.toml", "--task"]);
    bench.write("own/task.toml", documented().replace("\"headlines\"", "\"RTE\""));
    refused(&mut bench.run("own/task.toml", &[]), 2, &["own/task.toml:1: name: rte is a registered task"]);
    bench.write("own/task.toml", documented().replace("labels =", "label ="));
    refused(&mut bench.run("own/task.toml", &[]), 2, &["unknown key label. Did you mean labels?"]);
    bench.write("own/task.toml", documented());
    refused(&mut bench.run("own/task.toml", &[]), 3, &["train.csv"]);
    refused(
        &mut bench.run("headlines", &[]),
        2,
        &["expected one of cola", "or the TOML file of a task of yours"],
    );
}
