//! Evaluation of stages, records, tickets and folders: the scores and predictions of the run that made them.

use std::fs;

use serde_json::{Value, json};

use crate::fixture::{Bench, DEV, json_file, refused, succeeded, table};

impl Bench {
    fn eval(&self, what: &str, task: &str, arguments: &[&str]) -> Value {
        let all = [&[what, "--task", task, "--data", "glue", "--json"], arguments].concat();
        let output = succeeded(&mut self.verb("eval", &all));
        serde_json::from_slice(&output.stdout).expect("stdout holds JSON alone")
    }
}

#[test]
fn stages_records_tickets_and_exports_have_the_scores_of_their_run() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let stage = |name: &str| record["stages"][name].as_str().unwrap();
    succeeded(&mut bench.export(&record, "search", &["--ticket", "--out", "ticket.safetensors"]));
    for form in ["masked", "physical"] {
        succeeded(&mut bench.export(&record, "retrain", &[&format!("--{form}"), "--out", form]));
    }
    let path = "runs/results/sst2/heads+ffns/good/seed-1337.json";
    for (what, more, part) in [
        (stage("finetune"), &[][..], "full"),
        (stage("evaluate"), &[], "pruned"),
        (stage("search"), &[], "pruned"),
        ("ticket.safetensors", &["--model", stage("finetune")], "pruned"),
        (stage("retrain"), &[], "retrained"),
        (path, &[], "retrained"),
        ("masked", &[], "retrained"),
        ("physical", &[], "retrained"),
    ] {
        let found = bench.eval(what, "sst2", more);
        assert_eq!(found["metrics"], record[part]["metrics"], "{what}");
        assert_eq!(found["baseline"], record["full"]["baseline"]);
        assert_eq!((&found["metric"], &found["examples"]), (&json!("accuracy"), &json!([DEV])));
    }
    // Each prediction too, in the store's format.
    for name in ["finetune", "evaluate", "retrain"] {
        bench.eval(stage(name), "sst2", &["--predictions", "out/p.jsonl", "--max-length", "32"]);
        let own = bench.stage_file("runs", &record, name, "predictions.jsonl");
        assert_eq!(fs::read(bench.path("out/p.jsonl")).unwrap(), own, "{name}");
    }
    let table = succeeded(&mut bench.verb("eval", &[stage("finetune"), "--task", "SST-2", "--data", "glue"]));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("accuracy") && table.contains("48 examples; majority class"), "{table}");
}

#[test]
fn both_sets_of_mnli_are_scored_and_regressions_too() {
    let bench = Bench::new("MNLI");
    let record = bench.record("mnli", &["--mode", "full"]);
    let id = record["stages"]["finetune"].as_str().unwrap();
    let found = bench.eval(id, "mnli", &["--predictions", "p.jsonl"]);
    assert_eq!(found["metrics"], record["full"]["metrics"]);
    assert_eq!(found["examples"], json!([DEV, DEV]));
    for (file, own) in
        [("p.jsonl", "predictions.jsonl"), ("p_mismatched.jsonl", "predictions_mismatched.jsonl")]
    {
        assert_eq!(fs::read(bench.path(file)).unwrap(), bench.stage_file("runs", &record, "finetune", own));
    }
    bench.write_task("STS-B");
    let record = bench.record("stsb", &["--mode", "full"]);
    let found = bench.eval(record["stages"]["finetune"].as_str().unwrap(), "stsb", &[]);
    assert_eq!(found["metrics"], record["full"]["metrics"]);
}

#[test]
fn labels_are_matched_by_name_and_never_by_position() {
    let bench = Bench::new("RTE");
    let record = bench.record("rte", &["--mode", "full"]);
    let accuracy = record["full"]["metrics"]["accuracy"].as_f64().unwrap();
    succeeded(&mut bench.export(&record, "finetune", &["--masked", "--out", "m"]));
    let rename = |names: [&str; 2]| {
        let mut config = json_file(&bench.path("m/config.json"));
        config["id2label"] = json!({ "0": names[0], "1": names[1] });
        bench.write("m/config.json", config.to_string());
    };
    let score = |more: &[&str]| bench.eval("m", "rte", more)["metrics"]["accuracy"].as_f64().unwrap();
    rename(["ENTAILMENT", "not-entailment"]);
    assert_eq!(score(&[]), accuracy);
    // The same outputs mean the other classes.
    rename(["not_entailment", "entailment"]);
    assert!((score(&[]) - (1.0 - accuracy)).abs() < 1e-12);
    rename(["LABEL_0", "LABEL_1"]);
    let eval =
        |more: &[&str]| bench.verb("eval", &[&["m", "--task", "rte", "--data", "glue"], more].concat());
    refused(&mut eval(&[]), 3, &["does not name its classes", "--labels entailment,not_entailment"]);
    assert_eq!(score(&["--labels", "entailment,not_entailment"]), accuracy);
    refused(&mut eval(&["--labels", "entailment"]), 2, &["1 names", "2 outputs"]);
    rename(["yes", "no"]);
    refused(&mut eval(&[]), 3, &["yes, no", "rte has entailment, not_entailment"]);
    // A task of other labels.
    bench.write_task("STS-B");
    rename(["entailment", "not_entailment"]);
    refused(&mut bench.verb("eval", &["m", "--task", "stsb", "--data", "glue"]), 3, &["a score"]);
}

#[test]
fn a_test_set_becomes_glues_submission_files_in_one_folder() {
    let bench = Bench::new("RTE");
    bench.write_task("STS-B");
    bench.write_task("MNLI");
    for folder in ["RTE", "STS-B"] {
        let rows = table(folder, 500, 7);
        let cut = |line: &str| line.rsplit_once('\t').unwrap().0.to_owned() + "\n";
        bench.write(&format!("glue/{folder}/test.tsv"), rows.lines().map(cut).collect::<String>());
    }
    for name in ["test_matched.tsv", "test_mismatched.tsv"] {
        let rows = table("MNLI", 500, 5);
        let cut = |line: &str| line.rsplit_once('\t').unwrap().0.to_owned() + "\n";
        bench.write(&format!("glue/MNLI/{name}"), rows.lines().map(cut).collect::<String>());
    }
    for (task, files, rows) in [
        ("rte", &["RTE.tsv"][..], 7),
        ("stsb", &["STS-B.tsv"], 7),
        ("mnli", &["MNLI-m.tsv", "MNLI-mm.tsv"], 5),
    ] {
        let record = bench.record(task, &["--mode", "full"]);
        let id = record["stages"]["finetune"].as_str().unwrap();
        let written = bench.eval(id, task, &["--test", "submission"]);
        assert_eq!(written["files"].as_array().unwrap().len(), files.len());
        for file in files {
            let text = fs::read_to_string(bench.path("submission").join(file)).unwrap();
            let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
            assert_eq!(
                (lines[0].as_slice(), lines.len()),
                (&["index", "prediction"][..], rows + 1),
                "{text}"
            );
            for (index, line) in lines[1..].iter().enumerate() {
                assert_eq!(line[0], (500 + index).to_string());
                let known = match task {
                    "rte" => ["entailment", "not_entailment"].contains(&line[1]),
                    "mnli" => ["entailment", "neutral", "contradiction"].contains(&line[1]),
                    _ => line[1].parse().is_ok_and(|score: f64| (0.0..=5.0).contains(&score)),
                };
                assert!(known, "{line:?}");
            }
        }
    }
    assert_eq!(fs::read_dir(bench.path("submission")).unwrap().count(), 4);
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_what_to_give() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    succeeded(&mut bench.export(&record, "search", &["--ticket", "--out", "t"]));
    bench.write("encoder/config.json", fs::read(bench.path("model/config.json")).unwrap());
    bench.write("encoder/vocab.txt", fs::read(bench.path("model/vocab.txt")).unwrap());
    let bert = lottery::model::Bert::random(crate::fixture::tiny(), lottery::model::Head::MaskedLm, 1);
    bench.write("encoder/model.safetensors", bert.to_safetensors().unwrap());
    let retrained = record["stages"]["retrain"].as_str().unwrap();
    for (arguments, code, wanted) in [
        (&["t", "--task", "sst2"][..], 2, &["a ticket file has a mask and no weights", "--model"][..]),
        (&["t", "--task", "sst2", "--model", retrained], 3, &["already pruned"]),
        (&["encoder", "--task", "sst2"], 3, &["sst2 has classes or a score", "finds hidden words"]),
        (&[retrained, "--task", "squad"], 3, &["squad asks for spans", "gives classes"]),
        (&["nowhere", "--task", "sst2"], 3, &["nowhere"]),
        (&[retrained, "--task", "sst3"], 2, &["did you mean sst2"]),
        (&[retrained, "--task", "demo", "--test", "out"], 2, &["GLUE submission"]),
    ] {
        let all = [arguments, &["--data", "glue"]].concat();
        refused(&mut bench.verb("eval", &all), code, wanted);
    }
    refused(&mut bench.verb("eval", &[retrained, "--task", "sst2", "--data", "nowhere"]), 3, &["nowhere"]);
}
