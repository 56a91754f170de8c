//! Tasks that differ in their files, their labels or their metrics.

use serde_json::Value;

use crate::fixture::{Bench, DEV, SQUAD, TRAIN, succeeded};

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

#[test]
fn squad_is_run_and_its_answers_give_its_scores() {
    let bench = Bench::new("SQuAD");
    let record = bench.record("squad", &[SQUAD, &["--set", "train.epochs=6"]].concat());
    assert_eq!((&record["metric"], &record["full"]["baseline"]), (&"f1".into(), &0.0.into()));
    let sizes = |split: &str, key: &str| record["data"][split][key].as_u64().unwrap() as usize;
    assert_eq!((sizes("train", "examples"), sizes("dev", "examples")), (TRAIN, DEV));
    assert!(sizes("train", "windows") > TRAIN && sizes("dev", "windows") > DEV);
    let of = |stage: &str, metric: &str| record[stage]["metrics"][metric].as_f64().unwrap();
    // Of the words of a paragraph one in four is telling, one in eight the answer.
    assert!(of("full", "f1") > 0.4 && of("full", "exact_match") <= of("full", "f1"), "{}", of("full", "f1"));
    assert!(record["ticket"]["heads_kept"].as_u64() < record["ticket"]["heads_total"].as_u64());

    let lines = predictions(&bench, &record, "predictions.jsonl");
    let sum = |key: &str| lines.iter().map(|line| line[key].as_f64().unwrap()).sum::<f64>() / DEV as f64;
    assert_eq!([sum("exact_match"), sum("f1")], [of("full", "exact_match"), of("full", "f1")]);
    let by_id: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "finetune", "predictions.json")).unwrap();
    assert_eq!(by_id.as_object().unwrap().len(), DEV);
    for line in &lines {
        assert_eq!(by_id[line["id"].as_str().unwrap()], line["prediction"]);
        let right = line["label"].as_array().unwrap().contains(&line["prediction"]);
        assert_eq!(line["exact_match"], f64::from(u8::from(right)), "{line}");
    }
    let config = bench.stage_file("runs", &record, "finetune", "config.json");
    assert!(String::from_utf8(config).unwrap().contains("BertForQuestionAnswering"));

    // Held-out questions score units with all their windows, and nobody trains on them.
    let set = ["--mode", "bad", "--set", "importance.split=heldout:0.25", "--set", "data.train_limit=80"];
    let record = bench.record("squad", &[SQUAD, &set].concat());
    assert_eq!(record["data"]["scoring"]["examples"], 20);
    assert_eq!(record["data"]["train"]["examples"], 60);
}

#[test]
fn squads_windows_have_defaults_of_their_own_and_too_narrow_ones_are_refused() {
    let bench = Bench::new("SQuAD");
    let output = bench.run("squad", &["--dry-run"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("data.max_length=32 leaves 0 tokens") && said.contains("data.doc_stride=128"),
        "{said}"
    );
    let line =
        ["--task", "squad", "--model", "model", "--data", "glue", "--store", "runs", "--dry-run", "--json"];
    let output =
        crate::fixture::lottery().args(["run"]).args(line).current_dir(bench.root.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("data.max_length is 384, but model has 64 positions"), "{said}");
    let mut tiny = bench.run("squad", &["--model", "tiny", "--dry-run", "--set", "data.max_length=64"]);
    let plan = String::from_utf8(succeeded(&mut tiny).stdout).unwrap();
    assert!(plan.contains("finetune-") && plan.contains("to be computed"), "{plan}");
}
