//! `lottery pretrain`: what it writes, that it goes on, and what it refuses.

use std::{fs, io::Write};

use assert_cmd::Command;
use lottery::model::{Head, weights::Pretrained};
use serde_json::{Value, json};

use crate::fixture::{Bench, done_stages, json_file, lottery, refused, stderr, succeeded, tiny};

/// 200 different lines of few words, most of which their places tell.
pub fn text() -> String {
    const WORDS: [&str; 10] =
        ["warm", "flat", "dull", "funny", "bright", "bleak", "clever", "tired", "lovely", "awful"];
    let line = |i: usize| {
        let (a, b, c) = (WORDS[i % 10], WORDS[i / 10 % 10], ["film", "plot"][i / 100]);
        format!("the {a} {c} and the {b} cast with music\n")
    };
    (0..200).map(line).collect()
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
    // Of 28 words; seven in nine can be told.
    assert!(of(0, "perplexity") > 20.0 && of(10, "perplexity") < 5.0, "{scores:?}");
    assert!(of(10, "accuracy") > 0.5, "{scores:?}");
    assert!((of(5, "loss").exp() / of(5, "perplexity") - 1.0).abs() < 1e-12);
    // One line in twenty is held out, and one of its nine words hidden.
    let heldout = first["text"]["heldout"]["sequences"].as_u64().unwrap();
    assert!((4..=20).contains(&heldout), "{heldout}");
    assert_eq!(first["text"]["train"]["sequences"], 200 - heldout);
    assert_eq!(scores[0]["predictions"], heldout);
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
        [&["--config", "shape.json", "--vocab-size", "50", "--out", "new", "--half"], &QUICK[2..]].concat();
    let made = record(&bench, "runs", &shape);
    assert_eq!(made["model"]["vocabulary"], 50);
    assert_eq!(made["model"]["sha256"], Value::Null);
    let out = bench.path("new");
    let vocabulary = fs::read_to_string(out.join("vocab.txt")).unwrap();
    assert_eq!(
        vocabulary.lines().take(5).collect::<Vec<_>>(),
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    );
    assert_eq!(vocabulary.lines().count(), 50);
    let whole = bench.path(&format!("runs/stages/{}", made["stage"].as_str().unwrap()));
    let [small, large] = [&out, &whole].map(|dir| fs::metadata(dir.join("model.safetensors")).unwrap().len());
    assert!(small < large * 6 / 10, "{small} {large}");
    let [half, full] = [&out, &whole]
        .map(|dir| Pretrained::load(dir).unwrap().build(Head::MaskedLm, 0, false).unwrap().params.data);
    assert!(half.iter().zip(&full).all(|(a, b)| (a - b).abs() <= b.abs() / 2048.0 + 1e-7));

    let without: Vec<&str> = shape.iter().copied().filter(|word| *word != "--half").collect();
    refused(&mut pretrain(&bench, "runs", &without), 2, &["--out new", "another format (--half)"]);

    // No step at all gives the first weights, which the seed decides.
    let none = [&["--config", "shape.json", "--vocab-size", "50", "--steps", "0"], &QUICK[2..]].concat();
    let other = [&none[..], &["--seed", "7"]].concat();
    let [first, second] = [&none, &other].map(|arguments| record(&bench, "none", arguments));
    assert_eq!((&first["steps"], first["evaluations"].as_array().unwrap().len()), (&json!(0), 1));
    assert_eq!(first["evaluations"][0], made["evaluations"][0]);
    assert_ne!(first["evaluations"][0]["loss"], second["evaluations"][0]["loss"]);

    // The same again completes the folder; nothing else that is there is overwritten.
    let bytes = fs::read(out.join("model.safetensors")).unwrap();
    fs::remove_file(out.join("model.safetensors")).unwrap();
    fs::write(out.join(".tmp-x"), "left by a killed process").unwrap();
    assert_eq!(record(&bench, "runs", &shape), made);
    assert!(fs::read(out.join("model.safetensors")).unwrap() == bytes);
    let others = [&shape[..], &["--seed", "7"]].concat();
    refused(&mut pretrain(&bench, "runs", &others), 2, &["--out new", "not empty"]);
    // The vocabulary's folder serves another model.
    let reuse = [&["--config", "shape50.json", "--tokenizer", "new"], &QUICK[2..]].concat();
    bench.write("shape50.json", fs::read_to_string(bench.path("shape.json")).unwrap().replace(":9,", ":50,"));
    assert_eq!(record(&bench, "runs", &reuse)["model"]["vocabulary"], 50);

    // A stage that was changed is not passed on.
    let weights = whole.join("model.safetensors");
    let mut changed = fs::read(&weights).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&weights, changed).unwrap();
    refused(&mut pretrain(&bench, "runs", &shape), 3, &["model.safetensors", "Delete "]);
}

#[test]
fn dropouts_of_the_config_that_the_training_does_not_use_are_told_and_the_saved_ones_are_the_trainings() {
    let bench = bench();
    let mut shape: Value = serde_json::from_slice(&fs::read(bench.path("shape.json")).unwrap()).unwrap();
    (shape["hidden_dropout_prob"], shape["attention_probs_dropout_prob"]) = (json!(0.25), json!(0.2));
    bench.write("shape.json", shape.to_string());
    let words =
        ["--config", "shape.json", "--vocab-size", "50", "--steps", "1", "--dropout", "0.2", "--out", "new"];
    let output = succeeded(&mut pretrain(&bench, "runs", &[&words, &QUICK[2..]].concat()));
    let told = stderr(&output);
    let note = "config.json has hidden_dropout_prob 0.25, and training uses 0.2; `--dropout 0.25` would use the model's";
    assert_eq!(told.matches("config.json has ").count(), 1, "{told}");
    assert!(told.contains(note), "{told}");
    let saved = json_file(&bench.path("new/config.json"));
    assert_eq!([&saved["hidden_dropout_prob"], &saved["attention_probs_dropout_prob"]], [&json!(0.2); 2]);
}

#[test]
fn compressed_and_several_texts_and_the_demo_grammar_are_read() {
    let bench = bench();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(text().as_bytes()).unwrap();
    bench.write("text.gz", gz.finish().unwrap());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all("the film\n".repeat(201).as_bytes()).unwrap();
    bench.write("more.gz", gz.finish().unwrap());
    bench.write("other.txt", "funny plot\n".repeat(30));
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
        &[&few[..], &["--text", "text.txt", "--text", "more.gz", "--heldout", "other.txt"]].concat(),
    );
    let sources = both["text"]["sources"].as_array().unwrap();
    let of = |key: &str| sources.iter().map(|s| s[key].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["text.txt", "more.gz", "other.txt"]);
    assert_eq!(of("role"), ["train", "train", "heldout"]);
    assert_eq!(of("blake3")[0], blake3::hash(text().as_bytes()).to_hex().as_str());
    // 200 lines of nine words and 201 of two; 30 of two. Fourteen words fit into a sequence.
    assert_eq!(both["text"]["train"]["sequences"], (200u64 * 9).div_ceil(14) + (201u64 * 2).div_ceil(14));
    assert_eq!(both["text"]["heldout"]["sequences"], 60u64.div_ceil(14));

    let demo = ["--config", "shape.json", "--vocab-size", "90", "--text", "demo", "--demo-pairs", "300"];
    let demo = record(&bench, "demo", &[&demo[..], &["--max-length", "40", "--steps", "2"]].concat());
    let [train, heldout] = ["train", "heldout"].map(|part| demo["text"][part]["sequences"].as_u64().unwrap());
    assert!(train + heldout == 300 && heldout > 3, "{train} {heldout}");
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
        child
            .current_dir(bench.root.path())
            .env("LOTTERY_SHARE_DIR", "")
            .stdout(std::process::Stdio::piped());
        let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(15_000 + kills * 7919 % 40_000 + kills * 700));
        let alive = child.try_wait().unwrap().is_none();
        if alive {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        went_on += stderr(&output).matches("resuming after step ").count();
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
    bench.write("copy.txt", text());
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        bench.write(&format!("untied/{name}"), fs::read(bench.path(&format!("model/{name}"))).unwrap());
    }
    let config = fs::read_to_string(bench.path("model/config.json")).unwrap();
    bench.write("untied/config.json", config.replacen('{', "{\"tie_word_embeddings\": false,", 1));
    bench.write("latin1.txt", b"caf\xe9\n");
    bench.write("cut.gz", [0x1f, 0x8b, 8, 0, 0]);
    bench.write("unknown.txt", "zebra giraffe\n".repeat(50));
    bench.write("short.txt", "the film\n");
    bench.write(
        "huge.json",
        fs::read_to_string(bench.path("shape.json")).unwrap().replace(":16,", ":16777216,"),
    );
    // Its own limit is for the sizes of layers and words; segments and all are counted for the memory.
    let mut segments: Value = serde_json::from_slice(&fs::read(bench.path("shape.json")).unwrap()).unwrap();
    (segments["type_vocab_size"], segments["hidden_size"]) = (json!(1 << 24), json!(1 << 14));
    bench.write("segments.json", segments.to_string());
    bench.write("odd.json", fs::read_to_string(bench.path("shape.json")).unwrap().replace(":16,", ":15,"));
    bench.write("wide.json", fs::read_to_string(bench.path("shape.json")).unwrap());
    let model = |rest: &[&'static str]| [&["--model", "model"], rest].concat();
    let cases: &[(Vec<&str>, i32, &[&str])] = &[
        (model(&["--text", "empty.txt"]), 3, &["empty.txt"]),
        (model(&["--text", "nowhere.txt"]), 3, &["nowhere.txt"]),
        (model(&["--text", "latin1.txt"]), 3, &["latin1.txt", "UTF-8"]),
        (model(&["--text", "cut.gz"]), 3, &["cut.gz"]),
        (model(&["--text", "unknown.txt"]), 3, &["unknown.txt", "no token can be masked"]),
        (model(&["--text", "short.txt"]), 3, &["too few lines to hold out", "--heldout"]),
        (model(&["--text", "text.txt", "--text", "demo"]), 2, &["--text demo", "./demo"]),
        (
            model(&["--text", "text.txt", "--heldout", "copy.txt"]),
            2,
            &["--heldout copy.txt", "--text text.txt"],
        ),
        (model(&["--text", "demo", "--heldout", "demo"]), 2, &["--heldout demo"]),
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
            vec!["--config", "odd.json", "--text", "text.txt", "--vocab-size", "50"],
            3,
            &["odd.json", "hidden_size 15"],
        ),
        (vec!["--config", "none.json", "--text", "text.txt", "--vocab-size", "50"], 3, &["none.json"]),
        (
            vec!["--config", "huge.json", "--text", "text.txt", "--vocab-size", "50"],
            3,
            &["huge.json", "parameters", "hidden_size"],
        ),
        (
            vec!["--config", "segments.json", "--text", "text.txt", "--vocab-size", "50"],
            3,
            &["segments.json", "GB of memory", "parameters", "this machine has"],
        ),
        (vec!["--model", "untied", "--text", "text.txt"], 3, &["untied", "tie_word_embeddings"]),
        (model(&["--text", "text.txt", "--text", "copy.txt"]), 2, &["text.txt", "copy.txt", "--epochs"]),
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

#[test]
fn a_score_beyond_all_numbers_is_kept_and_read_again() {
    let bench = bench();
    let wild =
        [&QUICK[..10], &["--learning-rate", "30", "--steps", "12", "--checkpoint-every", "0"]].concat();
    let first = record(&bench, "runs", &wild);
    let largest = first["evaluations"].as_array().unwrap().iter().map(|e| e["loss"].as_f64().unwrap());
    assert!(largest.fold(0.0, f64::max) > 710.0, "{first}");
    assert_eq!(record(&bench, "runs", &wild), first);
}

#[test]
fn the_stage_is_known_by_what_decides_the_outcome_and_by_nothing_else() {
    let bench = bench();
    bench.write("elsewhere/t.txt", text());
    bench.write("mixed.txt", text() + "the film\n");
    bench.write("other.txt", "funny plot\n".repeat(30));
    let base =
        ["--model", "model", "--text", "text.txt", "--max-length", "16", "--steps", "1", "--epochs", "2"];
    let stage = |more: &[&str]| {
        // A flag may be given once only: the later one stands.
        let mut line: Vec<&str> = Vec::new();
        for pair in base.chunks(2).filter(|pair| !more.contains(&pair[0])) {
            line.extend(pair);
        }
        line.extend(more);
        record(&bench, "runs", &line)["stage"].as_str().unwrap().to_owned()
    };
    let first = stage(&[]);
    for same in [&["--text", "elsewhere/t.txt"][..], &["--demo-pairs", "9"], &["--checkpoint-every", "5"]] {
        assert_eq!(stage(same), first, "{same:?}");
    }
    for other in [
        &["--text", "mixed.txt"][..],
        &["--heldout", "other.txt"],
        &["--heldout-fraction", "0.2"],
        &["--unit", "line"],
        &["--max-length", "15"],
        &["--seed", "2"],
        &["--steps", "2"],
        &["--batch-size", "3"],
        &["--learning-rate", "2e-4"],
        &["--warmup", "0.5"],
        &["--weight-decay", "0.5"],
        &["--dropout", "0"],
        &["--fresh-head"],
        &["--evaluate-every", "1"],
    ] {
        assert_ne!(stage(other), first, "{other:?}");
    }
    let own = stage(&["--heldout", "other.txt"]);
    assert_eq!(stage(&["--heldout", "other.txt", "--heldout-fraction", "0.2"]), own);
}
