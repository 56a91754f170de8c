//! `lottery pretrain`: what it writes, that it goes on, and what it refuses.

use std::{fs, io::Write};

use assert_cmd::Command;
use lottery::model::{Head, weights::Pretrained};
use serde_json::{Value, json};

use crate::fixture::{Bench, done_stages, lottery, refused, stderr, succeeded, tiny};

/// 200 lines of few words, so that a tiny model learns them at once.
fn text() -> String {
    (0..200)
        .map(|i| format!("the {} film and the {} cast\n", ["warm", "flat"][i % 2], ["warm", "flat"][i % 2]))
        .collect()
}

fn bench() -> Bench {
    let bench = Bench { root: tempfile::tempdir().unwrap() };
    bench.write_model(&tiny());
    bench.write("text.txt", text());
    let shape = json!({
        "model_type": "bert", "vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 40,
    });
    bench.write("shape.json", shape.to_string());
    bench
}

fn pretrain(bench: &Bench, store: &str, arguments: &[&str]) -> Command {
    let mut command = lottery();
    command.arg("pretrain").args(["--store", store, "--threads", "1"]).args(arguments);
    command.current_dir(bench.root.path());
    command
}

/// Goes on with the fixture's model.
const QUICK: &[&str] = &[
    "--model",
    "model",
    "--text",
    "text.txt",
    "--unit",
    "line",
    "--max-length",
    "16",
    "--batch-size",
    "8",
    "--learning-rate",
    "3e-3",
    "--epochs",
    "4",
];

fn record(bench: &Bench, store: &str, arguments: &[&str]) -> Value {
    let output = succeeded(pretrain(bench, store, arguments).arg("--json"));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_model_goes_on_learning_with_a_fresh_head_and_the_folder_is_one_that_run_takes() {
    let bench = bench();
    let first = record(&bench, "runs", QUICK);
    let scores: Vec<&Value> = first["evaluations"].as_array().unwrap().iter().collect();
    assert_eq!(scores.len(), 11);
    let of = |at: usize, key: &str| scores[at][key].as_f64().unwrap();
    assert_eq!((of(0, "step"), of(10, "step")), (0.0, first["steps"].as_f64().unwrap()));
    // Of 28 words; what can be told from the sentence is told.
    assert!(of(0, "perplexity") > 15.0 && of(10, "perplexity") < 2.0, "{scores:?}");
    assert!(of(10, "accuracy") > 0.8, "{scores:?}");
    assert!((of(5, "loss").exp() / of(5, "perplexity") - 1.0).abs() < 1e-12);
    assert_eq!(first["text"]["heldout"]["sequences"], 10);
    assert_eq!(first["epoch_losses"].as_array().unwrap().len(), 4);
    assert_eq!(first["model"]["name"], "model");

    // The same again computes nothing.
    let output = succeeded(&mut pretrain(&bench, "runs", QUICK));
    assert!(stderr(&output).contains("found in the store"), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("perplexity"));

    // The stage is a model folder for `run` and for another pre-training, which begins where this one ended.
    let id = first["stage"].as_str().unwrap();
    assert_eq!(done_stages(&bench.path("runs")), [id]);
    let folder = format!("runs/stages/{id}");
    let mut pretrained = Pretrained::load(&bench.path(&folder)).unwrap();
    pretrained.build(Head::MaskedLm, 0, false).unwrap();
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
    let more = [&["--model", &folder], &QUICK[2..]].concat();
    let second = record(&bench, "runs", &more);
    assert_eq!(second["evaluations"][0]["loss"], scores[10]["loss"]);
    let fresh = record(&bench, "runs", &[&more[..], &["--fresh-head"]].concat());
    assert!(fresh["evaluations"][0]["loss"].as_f64().unwrap() > 2.0 * of(10, "loss"), "{fresh}");
    bench.write_task("SST-2");
    assert_eq!(bench.record("sst2", &["--mode", "full", "--model", &folder])["model"]["name"], *id);
}

#[test]
fn from_a_shape_with_a_vocabulary_of_its_own_and_into_a_folder_with_half_the_bits() {
    let bench = bench();
    let shape =
        [&["--config", "shape.json", "--vocab-size", "36", "--out", "new", "--half"], &QUICK[2..]].concat();
    let made = record(&bench, "runs", &shape);
    assert_eq!(made["model"]["vocabulary"], 36);
    assert_eq!(made["model"]["sha256"], Value::Null);
    let out = bench.path("new");
    let vocabulary = fs::read_to_string(out.join("vocab.txt")).unwrap();
    assert_eq!(
        vocabulary.lines().take(5).collect::<Vec<_>>(),
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    );
    assert_eq!(vocabulary.lines().count(), 36);
    let whole = bench.path(&format!("runs/stages/{}", made["stage"].as_str().unwrap()));
    let [small, large] = [&out, &whole].map(|dir| fs::metadata(dir.join("model.safetensors")).unwrap().len());
    assert!(small < large * 6 / 10, "{small} {large}");
    let [half, full] = [&out, &whole]
        .map(|dir| Pretrained::load(dir).unwrap().build(Head::MaskedLm, 0, false).unwrap().params.data);
    assert!(half.iter().zip(&full).all(|(a, b)| (a - b).abs() <= b.abs() / 2048.0 + 1e-7));

    // Nothing that is there is overwritten.
    refused(&mut pretrain(&bench, "runs", &shape), 2, &["--out new", "not empty"]);
    // The vocabulary's folder serves another model.
    let reuse = [&["--config", "shape36.json", "--tokenizer", "new"], &QUICK[2..]].concat();
    bench.write("shape36.json", fs::read_to_string(bench.path("shape.json")).unwrap().replace(":9,", ":36,"));
    assert_eq!(record(&bench, "runs", &reuse)["model"]["vocabulary"], 36);
}

#[test]
fn compressed_and_several_texts_and_the_demo_grammar_are_read() {
    let bench = bench();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(text().as_bytes()).unwrap();
    bench.write("text.gz", gz.finish().unwrap());
    bench.write("text.zst", zstd::encode_all(text().as_bytes(), 3).unwrap());
    let few = ["--steps", "2", "--epochs", "9", "--max-length", "16", "--model", "model"];
    let plain = record(&bench, "plain", &[&few[..], &["--text", "text.txt"]].concat());
    for name in ["text.gz", "text.zst"] {
        let packed = record(&bench, "packed", &[&few[..], &["--text", name]].concat());
        assert_eq!(packed["evaluations"], plain["evaluations"], "{name}");
    }
    assert_eq!(plain["steps"], 2);
    let both = record(
        &bench,
        "both",
        &[&few[..], &["--text", "text.txt", "--text", "text.gz", "--heldout", "text.zst"]].concat(),
    );
    assert_eq!(
        both["text"]["heldout"]["sequences"].as_u64().unwrap() * 2,
        both["text"]["train"]["sequences"].as_u64().unwrap()
    );
    assert_eq!(both["text"]["blake3"].as_object().unwrap().len(), 3);

    let demo = ["--config", "shape.json", "--vocab-size", "90", "--text", "demo", "--demo-pairs", "300"];
    let demo = record(&bench, "demo", &[&demo[..], &["--max-length", "40", "--steps", "2"]].concat());
    assert_eq!(demo["text"]["train"]["sequences"], 285);
}

#[test]
fn a_pre_training_that_is_killed_and_stopped_ends_as_if_it_had_not_been() {
    let bench = bench();
    let whole = record(&bench, "whole", QUICK);
    let stepwise = [QUICK, &["--checkpoint-every", "0", "--json"]].concat();
    let (mut kills, mut went_on) = (0, 0);
    let output = loop {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lottery"));
        child.arg("pretrain").args(["--store", "killed", "--threads", "1"]).args(&stepwise);
        child.current_dir(bench.root.path()).stdout(std::process::Stdio::piped());
        let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(15_000 + kills * 7919 % 40_000 + kills * 700));
        let alive = child.try_wait().unwrap().is_none();
        if alive {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        went_on += stderr(&output).matches("goes on after step ").count();
        if !alive {
            break output;
        }
        kills += 1;
    };
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(kills >= 3 && went_on >= 3, "killed {kills} times, went on {went_on} times");
    let killed: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["stage", "model", "text", "steps", "tokens", "evaluations", "epoch_losses", "config"] {
        assert_eq!(killed[key], whole[key], "{key}");
    }
    let [left, right] = ["killed", "whole"].map(|store| {
        let id = whole["stage"].as_str().unwrap();
        fs::read(bench.path(&format!("{store}/stages/{id}/model.safetensors"))).unwrap()
    });
    assert!(left == right);
}

#[test]
fn what_cannot_be_trained_is_refused_with_the_remedy() {
    let bench = bench();
    bench.write("empty.txt", " \n\n");
    bench.write("latin1.txt", b"caf\xe9\n");
    bench.write("cut.gz", [0x1f, 0x8b, 8, 0, 0]);
    bench.write("unknown.txt", "zebra giraffe\n".repeat(50));
    bench.write("short.txt", "the film\n");
    bench.write("odd.json", fs::read_to_string(bench.path("shape.json")).unwrap().replace(":16,", ":15,"));
    bench.write("wide.json", fs::read_to_string(bench.path("shape.json")).unwrap());
    let model = |rest: &[&'static str]| [&["--model", "model"], rest].concat();
    let cases: &[(Vec<&str>, i32, &[&str])] = &[
        (model(&["--text", "empty.txt"]), 3, &["empty.txt"]),
        (model(&["--text", "nowhere.txt"]), 3, &["nowhere.txt"]),
        (model(&["--text", "latin1.txt"]), 3, &["latin1.txt", "UTF-8"]),
        (model(&["--text", "cut.gz"]), 3, &["cut.gz"]),
        (model(&["--text", "unknown.txt"]), 3, &["unknown.txt", "no token can be masked"]),
        (model(&["--text", "short.txt"]), 3, &["too few to hold out", "--heldout"]),
        (model(&["--text", "text.txt", "--text", "demo"]), 2, &["--text demo", "./demo"]),
        (model(&["--text", "text.txt", "--unit", "lines"]), 2, &["--unit lines", "did you mean line?"]),
        (model(&["--text", "text.txt", "--max-length", "65"]), 2, &["--max-length 65", "64 positions"]),
        (model(&["--text", "text.txt", "--max-length", "2"]), 2, &["2"]),
        (model(&["--text", "text.txt", "--learning-rate", "0"]), 2, &["--learning-rate 0"]),
        (model(&["--text", "text.txt", "--dropout", "1"]), 2, &["--dropout 1"]),
        (model(&["--text", "text.txt", "--heldout-fraction", "1"]), 2, &["--heldout-fraction 1"]),
        (model(&["--text", "text.txt", "--vocab-size", "99"]), 2, &["--vocab-size", "--config"]),
        (model(&["--text", "text.txt", "--checkpoint-every=-1"]), 2, &["--checkpoint-every"]),
        (vec!["--config", "shape.json", "--text", "text.txt"], 2, &["--vocab-size N", "--tokenizer DIR"]),
        (
            vec!["--config", "shape.json", "--text", "text.txt", "--vocab-size", "999"],
            2,
            &["999", "--vocab-size"],
        ),
        (
            vec!["--config", "shape.json", "--text", "text.txt", "--vocab-size", "7"],
            2,
            &["7", "--vocab-size"],
        ),
        (
            vec!["--config", "shape.json", "--text", "text.txt", "--tokenizer", "model"],
            3,
            &["vocab_size is 9", "28"],
        ),
        (
            vec!["--config", "odd.json", "--text", "text.txt", "--vocab-size", "36"],
            3,
            &["odd.json", "hidden_size 15"],
        ),
        (vec!["--config", "none.json", "--text", "text.txt", "--vocab-size", "36"], 3, &["none.json"]),
        (vec!["--model", "nowhere", "--text", "text.txt"], 3, &["nowhere"]),
    ];
    for (arguments, code, wanted) in cases {
        refused(&mut pretrain(&bench, "runs", arguments), *code, wanted);
    }
    assert_eq!(done_stages(&bench.path("runs")), Vec::<String>::new());
    // What clap refuses.
    for arguments in [
        vec!["--text", "text.txt"],
        vec!["--model", "model"],
        model(&["--text", "text.txt", "--epochs", "0"]),
    ] {
        let output = pretrain(&bench, "runs", &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_stops_the_training_and_names_the_flag() {
    let bench = bench();
    let wild = [&QUICK[..10], &["--learning-rate", "1e30"]].concat();
    let said =
        refused(&mut pretrain(&bench, "runs", &wild), 1, &["not a finite number at step ", "diverged"]);
    assert!(said.contains("`--learning-rate 5e29`") && said.contains("`--warmup 0.1`"), "{said}");
    assert_eq!(done_stages(&bench.path("runs")), Vec::<String>::new());
}
