//! Tasks that differ in their files, their labels or their metrics.

use serde_json::Value;

use crate::fixture::{Bench, DEV};

/// Runs the task in mode good; its record.
fn run(folder: &str, task: &str, metric: &str, metrics: &[&str]) -> (Bench, Value) {
    let bench = Bench::new(folder);
    let record = bench.record(task, &[]);
    assert_eq!(record["metric"], metric);
    for stage in ["full", "pruned", "retrained"] {
        let names: Vec<&String> = record[stage]["metrics"].as_object().unwrap().keys().collect();
        assert_eq!(names, metrics, "{stage}");
    }
    let (score, baseline) = (record["full"]["metrics"][metric].as_f64(), record["full"]["baseline"].as_f64());
    assert!(score > baseline, "{folder}: {score:?} is not above {baseline:?}");
    (bench, record)
}

/// The lines of `predictions.jsonl`, which follow the order of the development file.
fn predictions(bench: &Bench, record: &Value, name: &str) -> Vec<Value> {
    let text = String::from_utf8(bench.stage_file("runs", record, "finetune", name)).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), DEV);
    assert!(lines.iter().zip(0..).all(|(line, index): (_, u64)| line["index"] == index));
    lines
}

#[test]
fn rte_is_run_and_its_predictions_give_its_accuracy() {
    let (bench, record) = run("RTE", "RTE", "accuracy", &["accuracy"]);
    assert_eq!(record["task"], "rte");
    let lines = predictions(&bench, &record, "predictions.jsonl");
    let hits = lines.iter().filter(|line| line["label"] == line["prediction"]).count();
    assert_eq!(record["full"]["metrics"]["accuracy"], hits as f64 / DEV as f64);
    for line in &lines {
        let logits: Vec<f64> =
            line["logits"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect();
        assert_eq!(line["prediction"], u64::from(logits[1] > logits[0]));
    }
}

#[test]
fn cola_is_run_with_files_that_have_no_header() {
    run("CoLA", "cola", "matthews", &["matthews"]);
}

#[test]
fn stsb_is_run_as_a_regression() {
    let (bench, record) = run("STS-B", "STS-B", "corr", &["corr", "pearson", "spearman"]);
    assert_eq!(record["full"]["baseline"], 0.0);
    let metrics = &record["full"]["metrics"];
    let of = |name: &str| metrics[name].as_f64().unwrap();
    assert!((of("corr") - (of("pearson") + of("spearman")) / 2.0).abs() < 1e-12);
    let lines = predictions(&bench, &record, "predictions.jsonl");
    assert!(lines.iter().all(|line| line["logits"][0] == line["prediction"] && line["label"].is_f64()));
}

#[test]
fn mrpc_is_run_from_files_with_a_byte_order_mark() {
    run("MRPC", "mrpc", "accuracy", &["accuracy", "f1"]);
}

#[test]
fn mnli_reports_its_second_development_set_too() {
    let (bench, record) = run("MNLI", "mnli", "accuracy", &["accuracy", "accuracy_mismatched"]);
    predictions(&bench, &record, "predictions_mismatched.jsonl");
    let config: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "finetune", "config.json")).unwrap();
    assert_eq!(config["label2id"]["neutral"], 2);
}

#[test]
fn the_demo_task_needs_no_data_folder() {
    let bench = Bench::new("SST-2");
    let mut command = crate::fixture::lottery();
    let quick = ["--set", "train.epochs=1", "--set", "data.max_length=64", "--set", "data.train_limit=64"];
    command.args(["run", "--task", "demo", "--model", "model", "--json"]).args(quick);
    let output = crate::fixture::succeeded(command.current_dir(bench.root.path()));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((record["task"].as_str(), record["full"]["baseline"].as_f64()), (Some("demo"), Some(0.5)));
    assert_eq!(record["config"]["data"]["dir"], Value::Null);
    let predictions = String::from_utf8(bench.stage_file("runs", &record, "finetune", "predictions.jsonl"));
    assert_eq!(predictions.unwrap().lines().count(), 800);
}
