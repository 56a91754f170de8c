//! The masked-LM task: tickets on a text of one's own, with the pre-trained head rewound as everything else is.

use std::fs;

use crate::{
    fixture::{Bench, lottery, refused, stderr, succeeded, tiny},
    pretrain::text,
};
use lottery::model::{Bert, Head, weights::Pretrained};
use serde_json::{Value, json};

/// A model that has a masked-LM head and no pooler, and a text.
fn bench() -> Bench {
    let bench = Bench::new("SST-2");
    let bert = Bert::random(tiny(), Head::MaskedLm, 7);
    bench.write("words/config.json", bert.to_config_json(&[]).unwrap());
    bench.write("words/model.safetensors", bert.to_safetensors().unwrap());
    bench.write("words/vocab.txt", fs::read(bench.path("model/vocab.txt")).unwrap());
    let other = [("film", "scene"), ("cast", "plot")];
    let texts = other.map(|(one, another)| text().replace(one, another));
    bench.write("text.txt", text() + &texts.concat());
    bench
}

const WORDS: &[&str] = &["--model", "words", "--text", "text.txt"];

fn record(bench: &Bench, more: &[&str]) -> Value {
    bench.record("mlm", &[WORDS, more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn masked_lm_tickets_are_scored_alike_whatever_the_seed_and_by_eval() {
    let bench = bench();
    let imp = ["--method", "imp", "--sparsity", "0.2", "--set", "train.epochs=12"];
    let record = |more: &[&str]| record(&bench, &[&imp[..], more].concat());
    let first = record(&[]);
    assert_eq!((&first["metric"], &first["full"]["epoch"]), (&json!("accuracy"), &Value::Null));
    for part in ["full", "pruned", "retrained"] {
        let metrics = &first[part]["metrics"];
        assert!((number(&metrics["loss"]).exp() - number(&metrics["perplexity"])).abs() < 1e-9, "{metrics}");
        assert!((0.0..=1.0).contains(&number(&metrics["accuracy"])));
    }
    // What can be told of the lines is learnt.
    assert!(number(&first["full"]["metrics"]["accuracy"]) > number(&first["full"]["baseline"]), "{first}");
    let (sizes, names) = (&first["data"], first["data"]["sha256"].as_object().unwrap());
    assert_eq!(names.keys().collect::<Vec<_>>(), ["train"]);
    // Blocks are full, and one in six or seven of their words is hidden: 30 of 32 are no special ones.
    let dev = &sizes["dev"];
    assert_eq!(
        (&dev["of_max_length"], number(&dev["tokens"])),
        (&dev["examples"], 32.0 * number(&dev["examples"]))
    );
    assert_eq!(number(&dev["hidden_words"]), 5.0 * number(&dev["examples"]), "{dev}");
    let line = |line: &str| -> [f64; 3] {
        let line: Value = serde_json::from_str(line).unwrap();
        ["hidden", "found", "loss"].map(|key| number(&line[key]))
    };
    let lines = String::from_utf8(bench.stage_file("runs", &first, "retrain", "predictions.jsonl")).unwrap();
    let lines: Vec<[f64; 3]> = lines.lines().map(line).collect();
    let sum = |at: usize| lines.iter().map(|line| line[at]).sum::<f64>();
    let retrained = &first["retrained"]["metrics"];
    assert!((sum(1) / sum(0) - number(&retrained["accuracy"])).abs() < 1e-12);
    assert!((sum(2) / lines.len() as f64 - number(&retrained["loss"])).abs() < 1e-9);

    let second = record(&["--seed", "42"]);
    assert_ne!(first["retrained"], second["retrained"]);
    for key in ["data", "baselines"] {
        assert_eq!(first[key], second[key], "what is hidden in the development set has no seed");
    }

    // A report compares blocks drawn again: what they say together is the difference of the means.
    let mut command = lottery();
    let output =
        succeeded(command.args(["report", "runs", "--stages", "--json"]).current_dir(bench.root.path()));
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["tables"]["comparisons"][0];
    let accuracy = |record: &Value, part: &str| number(&record[part]["metrics"]["accuracy"]);
    let gains = [&first, &second].map(|record| accuracy(record, "retrained") - accuracy(record, "full"));
    assert!((number(&row["examples_difference"]) - (gains[0] + gains[1]) / 2.0).abs() < 1e-12, "{row}");
    assert!((0.0..=1.0).contains(&number(&row["p_examples"])), "{row}");

    let eval = |what: &str, more: &[&str]| -> Value {
        let all = [&[what, "--task", "mlm", "--max-length", "32", "--json"], more].concat();
        serde_json::from_slice(&succeeded(&mut bench.verb("eval", &all)).stdout).unwrap()
    };
    let id = first["stages"]["retrain"].as_str().unwrap();
    for form in ["masked", "physical"] {
        let output =
            succeeded(&mut bench.export(&first, "retrain", &[&format!("--{form}"), "--out", form, "--json"]));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let on = report["checked"]["on"].as_str().unwrap();
        assert!(on.ends_with("development blocks of mlm"), "{on}");
        let card = fs::read_to_string(bench.path(form).join("README.md")).unwrap();
        assert!(card.contains("pipeline_tag: fill-mask") && card.contains("AutoModelForMaskedLM"), "{card}");
    }
    for what in [id, "masked", "physical"] {
        let found = eval(what, &["--text", "text.txt"]);
        assert_eq!(&found["metrics"], retrained, "{what}");
    }
    assert_ne!(&eval(id, &["--dev-text", "text.txt"])["metrics"], retrained, "the whole text");
    refused(&mut bench.verb("eval", &[id, "--task", "sst2", "--data", "glue"]), 3, &["finds hidden words"]);
    // A model is evaluated before it is fine-tuned, with the head that it has.
    assert_eq!(eval("words", &["--text", "text.txt"])["baseline"], first["full"]["baseline"]);
}

#[test]
fn a_ticket_is_rewound_to_the_pretrained_weights_and_head_bit_for_bit() {
    let bench = bench();
    let still = ["--method", "imp", "--sparsity", "0.3", "--set", "train.learning_rate=1e-30"];
    let still = record(&bench, &still);
    let load =
        |dir: &str| Pretrained::load(&bench.path(dir)).unwrap().build(Head::MaskedLm, 0, false).unwrap();
    let before = load("words").params;
    let after = load(&format!("runs/stages/{}", still["stages"]["retrain"].as_str().unwrap())).params;
    let mut pruned = 0;
    for (before, after) in before.data.iter().zip(&after.data) {
        // What was exactly 0 moves by less than any number that counts.
        let same = (before - after).abs() < 1e-20;
        assert!(same || *after == 0.0, "{before} {after}");
        pruned += usize::from(!same);
    }
    let weights = &still["ticket"]["weights"];
    assert_eq!(pruned as u64, weights["total"].as_u64().unwrap() - weights["kept"].as_u64().unwrap());
    // Trained, the head is another.
    let trained = record(&bench, &["--mode", "full"]);
    let trained = load(&format!("runs/stages/{}", trained["stages"]["finetune"].as_str().unwrap())).params;
    assert_ne!(trained.at(&trained.layout.transform_weight), before.at(&before.layout.transform_weight));
}

#[test]
fn every_method_and_starting_weights_has_masked_lm_tickets() {
    let bench = bench();
    for (method, mode) in [
        ("heads+ffns", "good"),
        ("heads", "bad"),
        ("one-shot", "random"),
        ("magnitude", "inverse"),
        ("omp", "good"),
    ] {
        let record = record(&bench, &["--method", method, "--mode", mode, "--sparsity", "0.25"]);
        assert_eq!((&record["method"], &record["mode"]), (&json!(method), &json!(mode)));
        assert!(number(&record["ticket"]["encoder_weights_kept"]) < 0.9, "{method}: {}", record["ticket"]);
    }
    for estimator in ["token", "fisher", "activation"] {
        let set = format!("importance.estimator={estimator}");
        record(&bench, &["--method", "one-shot", "--sparsity", "0.25", "--set", &set]);
    }
    let mut retrained = Vec::new();
    for init in ["pretrained", "random", "shuffle-within", "step:2", "finetuned"] {
        let record = record(&bench, &["--method", "omp", "--sparsity", "0.5", "--init", init]);
        retrained.push(record["stages"]["retrain"].as_str().unwrap().to_owned());
    }
    retrained.sort();
    retrained.dedup();
    assert_eq!(retrained.len(), 5);
    // A run that takes up the fine-tuned model of another.
    let full = record(&bench, &["--mode", "full"]);
    let folder = format!("runs/stages/{}", full["stages"]["finetune"].as_str().unwrap());
    let taken = record(&bench, &["--finetuned", &folder, "--method", "magnitude", "--sparsity", "0.25"]);
    assert_eq!(taken["full"]["metrics"], full["full"]["metrics"]);
}

#[test]
fn tickets_go_from_words_to_classes_and_back() {
    let bench = bench();
    // With a pooler, which the masked-LM head does not stand on.
    let imp = ["--model", "model", "--text", "text.txt", "--method", "imp", "--sparsity", "0.2"];
    let record = |task: &str, more: &[&str]| bench.record(task, &[&imp[..], more].concat());
    let (words, classes) = (record("mlm", &[]), record("sst2", &[]));
    let total = |record: &Value| record["ticket"]["weights"]["total"].as_u64().unwrap();
    assert_eq!(total(&classes), total(&words) + 32 * 32, "the pooler");
    for (task, from, own) in [("sst2", "mlm", &words), ("mlm", "sst2", &classes)] {
        let transferred = record(task, &["--ticket-from", from]);
        assert_eq!(transferred["ticket"]["weights"]["kept"], own["ticket"]["weights"]["kept"], "{task}");
        let warnings = transferred["warnings"].to_string();
        assert!(warnings.contains(&format!("the ticket was found on {from}")), "{warnings}");
    }
}

#[test]
fn a_text_of_its_own_scores_and_what_is_no_text_is_refused() {
    let bench = bench();
    bench.write("other.txt", text());
    bench.write("short.txt", "the film\n");
    let two = ["--mode", "full", "--set", "data.dev_text=other.txt"];
    let names = record(&bench, &two)["data"]["sha256"].as_object().unwrap().clone();
    assert_eq!(names.keys().collect::<Vec<_>>(), ["dev", "train"]);
    for (arguments, code, wanted) in [
        (&["--model", "words"][..], 2, &["--text FILE", "--text demo"][..]),
        (&["--model", "words", "--text", "nowhere.txt"], 3, &["nowhere.txt"]),
        (&["--model", "words", "--text", "words/model.safetensors"], 3, &["words/model.safetensors"]),
        (&["--model", "words", "--text", "short.txt"], 3, &["short.txt", "too few lines", "data.dev_text"]),
        (
            &["--model", "words", "--text", "text.txt", "--set", "data.dev_text=text.txt"],
            2,
            &["the same text"],
        ),
    ] {
        refused(&mut bench.run("mlm", arguments), code, wanted);
    }
    refused(&mut bench.run("sst2", &["--method", "imp", "--ticket-from", "mlm"]), 2, &["--text FILE"]);
    // The model has no masked-LM head, and says so.
    let output = succeeded(&mut bench.run("mlm", &["--text", "text.txt", "--mode", "full"]));
    assert!(stderr(&output).contains("the model has no whole masked-LM head"), "{}", stderr(&output));
}

#[test]
fn a_sweep_over_words_and_classes_needs_a_text_alone() {
    let bench = bench();
    let mut command = lottery();
    command.current_dir(bench.root.path()).args(["sweep", "--tasks", "mlm,sst2", "--ticket-from", "mlm"]);
    command.args(["--methods", "omp", "--models", "model", "--data", "glue", "--text", "text.txt"]);
    command.args([
        "--set",
        "train.epochs=1",
        "--set",
        "data.max_length=32",
        "--store",
        "runs",
        "--threads",
        "1",
    ]);
    succeeded(&mut command);
    let output = succeeded(&mut command);
    assert!(stderr(&output).contains("2 runs, 2 done"), "{}", stderr(&output));
}
