//! Models that answer questions: evaluated and exported as their run left them.

use std::fs;

use serde_json::{Value, json};

use crate::fixture::{Bench, DEV, SQUAD, json_file, refused, succeeded};

/// The windows of the run, as `eval` is told of them.
const WINDOWS: &[&str] = &["--max-length", "32", "--doc-stride", "8", "--max-question-length", "8"];

fn eval(bench: &Bench, what: &str, more: &[&str]) -> Value {
    let all = [&[what, "--task", "squad", "--data", "glue", "--json"], WINDOWS, more].concat();
    serde_json::from_slice(&succeeded(&mut bench.verb("eval", &all)).stdout).expect("stdout holds JSON alone")
}

#[test]
fn models_of_questions_are_evaluated_and_exported_with_the_answers_of_their_run() {
    let bench = Bench::new("SQuAD");
    let record = bench.record("squad", SQUAD);
    let stage = |name: &str| record["stages"][name].as_str().unwrap();
    let ticket = ["--ticket", "--out", "ticket.safetensors"];
    succeeded(&mut bench.export(&record, "search", &ticket));
    for form in ["masked", "physical"] {
        let output = succeeded(&mut bench.export(
            &record,
            "retrain",
            &[&format!("--{form}"), "--out", form, "--json"],
        ));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["checked"]["on"], "48 development windows of squad");
        assert!(report["checked"]["largest_difference"].as_f64().unwrap() <= 1e-5);
        assert_eq!(report["labels"], json!([]));
        let card = fs::read_to_string(bench.path(form).join("README.md")).unwrap();
        for wanted in
            ["pipeline_tag: question-answering", "AutoModelForQuestionAnswering.from_pretrained(FOLDER"]
        {
            assert!(card.contains(wanted), "{wanted:?} is not in {card}");
        }
        assert!(!card.contains("| labels |"), "{card}");
        let config = json_file(&bench.path(form).join("config.json"));
        assert_eq!(config["architectures"][0], "BertForQuestionAnswering");
        let code = &config["auto_map"]["AutoModelForQuestionAnswering"];
        assert_eq!(*code == "modeling_ticket.TicketForQuestionAnswering", form == "physical", "{code}");
    }
    let loader = fs::read_to_string(bench.path("physical/modeling_ticket.py")).unwrap();
    assert!(loader.contains("class TicketForQuestionAnswering(BertForQuestionAnswering)"));
    let path = "runs/results/squad/heads+ffns/good/seed-1337.json";
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
        let found = eval(&bench, what, more);
        assert_eq!(found["metrics"], record[part]["metrics"], "{what}");
        assert_eq!((&found["metric"], &found["examples"]), (&json!("f1"), &json!([DEV])), "{what}");
        assert_eq!((&found["baseline"], &found["labels"]), (&json!(0.0), &json!([])));
    }
    // A line for each question, and all answers by id, whichever of the two is named.
    for (name, named) in [("finetune", "out/a.jsonl"), ("retrain", "out/a.json")] {
        let found = eval(&bench, stage(name), &["--predictions", named]);
        assert_eq!(found["predictions"], json!(["out/a.json", "out/a.jsonl"]));
        for ending in ["json", "jsonl"] {
            let own = bench.stage_file("runs", &record, name, &format!("predictions.{ending}"));
            assert_eq!(fs::read(bench.path(&format!("out/a.{ending}"))).unwrap(), own, "{name}");
        }
    }
    assert_eq!(eval(&bench, "masked", &["--limit", "5"])["examples"], json!([5]));
    let text = ["physical", "--task", "squad", "--data", "glue"];
    let table = succeeded(&mut bench.verb("eval", &[&text, WINDOWS].concat()));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("exact_match") && table.contains("48 examples"), "{table}");
}

#[test]
fn questions_and_classes_are_not_mixed_up() {
    let bench = Bench::new("SQuAD");
    let record = bench.record("squad", &[SQUAD, &["--mode", "full", "--set", "train.epochs=1"]].concat());
    bench.write_task("SST-2");
    let id = record["stages"]["finetune"].as_str().unwrap();
    for (arguments, code, wanted) in [
        (&["--task", "sst2"][..], 3, &["sst2 has classes or a score", "finds spans"][..]),
        (&["--task", "squad", "--labels", "a,b"], 2, &["2 names", "0 outputs"]),
        (&["--task", "squad", "--test", "out"], 2, &["GLUE submission"]),
        (&["--task", "squad"], 2, &["leaves 0 tokens for the paragraph"]),
    ] {
        refused(&mut bench.verb("eval", &[&[id, "--data", "glue"], arguments].concat()), code, wanted);
    }
}
