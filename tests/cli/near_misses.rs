//! Command lines that are nearly right, failures for programs, records that are repeated, and smoke runs.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::{
    fixture::{Bench, files, json_file, lottery, refusal, stderr, succeeded},
    output::plain,
};

fn typed(bench: &Bench, words: &[&str]) -> Output {
    plain(bench, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).output().unwrap()
}

#[test]
fn what_was_meant_is_said_in_the_words_that_do_it() {
    let bench = Bench::new("SST-2");
    bench.write("grid.toml", "task = 'sst2'\n[grid]\nseed = [1, 2]\n");
    bench.write("mine.toml", "task = 'sst2'\n");
    bench.write("seeds.toml", "task = 'sst2'\n[grid]\nseeds = [1, 2]\n");
    for (words, wanted) in [
        (&["run", "--lr", "1e-4"][..], &["--lr", "--set train.learning_rate=VALUE"][..]),
        (&["run", "--epochs", "5"], &["--set train.epochs=VALUE"]),
        (&["run", "--batch-size=8"], &["--set train.batch_size=VALUE"]),
        (&["sweep", "--learning-rate", "1"], &["--set train.learning_rate=VALUE"]),
        (&["run", "--max_seq_length", "64"], &["--set data.max_length=VALUE"]),
        (&["run", "rte"], &["--task rte"]),
        (&["run", "SST-2"], &["--task sst2"]),
        (&["run", "bad"], &["--mode bad"]),
        (&["run", "heads+ffns"], &["--method heads+ffns"]),
        (&["run", "grid.toml"], &["lottery sweep grid.toml"]),
        (&["run", "mine.toml"], &["--config mine.toml"]),
        (&["run", "train.epochs=5"], &["--set train.epochs=5"]),
        (&["run", "model"], &["--model model"]),
        (&["run", "--config", "grid.toml"], &["is the file of a sweep", "lottery sweep grid.toml"]),
        (&["sweep", "seeds.toml"], &["unknown key seeds", "Did you mean seed?"]),
        (
            &["run", "--tasks", "rte,mrpc"],
            &["a run has one task", "lottery sweep --tasks", "--task and --with"],
        ),
        (&["run", "--seeds=1-5"], &["a run has one seed", "lottery sweep --seeds makes"]),
        (&["run", "--set", "search.sparsity=0.5"], &["Did you mean prune.sparsity?"]),
        (&["run", "--set", "train.epoch=5"], &["Did you mean train.epochs?"]),
        // What the parser knows better.
        (&["run", "--moed", "bad"], &["--mode"]),
        (&["config", "train.epoch"], &["Did you mean train.epochs?"]),
    ] {
        let output = typed(&bench, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = stderr(&output);
        for word in wanted {
            assert!(said.contains(word), "{words:?}: {word:?} is not in {said}");
        }
    }
    let short = ["run", "--task", "sst2", "--data", "glue", "--model", "bert-base-uncased"];
    refusal(&typed(&bench, &short), 3, &["Did you mean google-bert/bert-base-uncased"]);
    assert!(files(&bench.path("runs/results")).is_empty());
}

#[test]
fn numbers_are_asked_for_in_words_that_say_which() {
    let bench = Bench::new("SST-2");
    for (words, wanted) in [
        (&["run", "--seed", "x"][..], "expected a whole number, at least 0"),
        (&["run", "--seed", "-1"], "expected a whole number, at least 0"),
        (&["run", "--threads", "0"], "expected a whole number from 1 to 1024"),
        (&["sweep", "--tasks", "rte", "--jobs", "two"], "expected a whole number from 1 to 1024"),
        (&["sweep", "--executor", "slurm", "--workers", "many"], "expected a whole number, at least 1"),
        (&["pretrain", "--text", "demo", "--learning-rate", "fast"], "expected a number"),
        (&["pretrain", "--text", "demo", "--vocab-size", "x"], "expected a whole number"),
    ] {
        let output = typed(&bench, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = stderr(&output);
        assert!(said.contains(wanted), "{said}");
        assert!(!said.contains("invalid digit") && !said.contains("literal"), "{said}");
    }
}

#[test]
fn a_program_that_asked_for_json_gets_the_failure_as_json() {
    let bench = Bench::new("SST-2");
    for (words, code, meaning) in [
        (&["run", "--json", "--task", "nonsense"][..], 2, "usage or configuration"),
        (&["run", "--json", "--seed", "x"], 2, "usage or configuration"),
        (
            &["run", "--json", "--task", "rte", "--model", "tiny", "--data", "nowhere"],
            3,
            "data or model file",
        ),
        (&["status", "--json", "--store", "nowhere"], 3, "data or model file"),
    ] {
        let output = typed(&bench, words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(told["error"]["meaning"].as_str().unwrap().starts_with(meaning), "{told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && stderr(&output).contains(message.lines().next().unwrap()), "{told}");
    }
}

#[test]
fn a_record_says_where_it_comes_from_and_is_repeated_as_a_config() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "bad", "--seed", "42"]);
    let provenance = &record["provenance"];
    assert!(provenance["written"].as_str().unwrap().starts_with("20"), "{provenance}");
    assert!(!provenance["host"].as_str().unwrap().is_empty());
    let command = provenance["command"].as_str().unwrap();
    assert!(command.contains("run --task sst2") && command.contains("--mode bad"), "{command}");
    // What is only loaded stays as it was made.
    assert_eq!(bench.record("sst2", &["--mode", "bad", "--seed", "42"]), record);
    let path = "runs/results/sst2/heads+ffns/bad/seed-42.json";
    let again = typed(&bench, &["run", "--config", path, "--store", "again", "--json"]);
    assert!(again.status.success(), "{}", stderr(&again));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    for key in ["config", "stages", "retrained", "ticket"] {
        assert_eq!(again[key], record[key], "{key}");
    }
    assert_eq!(json_file(Path::new(again["path"].as_str().unwrap()))["seed"], 42);
    // Flags lie over it, and the command that a record names can be typed.
    let other = typed(&bench, &["run", "--config", path, "--seed", "7", "--dry-run"]);
    assert!(String::from_utf8(other.stdout).unwrap().contains("seed = 7\n"));
    bench.write("no.json", "{\"config\": [1]}");
    refusal(&typed(&bench, &["run", "--config", "no.json"]), 2, &["no.json", "has no settings"]);
}

#[test]
fn one_record_is_shown_in_full_with_its_scores() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "bad"]);
    let shown = |words: &[&str]| {
        let output = typed(&bench, &[&["show", "--store", "runs"], words].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = shown(&["--scores"]);
    for line in [
        "│ sst2 bad seed 1337",
        "layer  heads",
        "warning: importance and report share the dev split",
        "  train.epochs = 3",
        "  host = ",
        "importance\nlayer ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let stage = record["stages"]["retrain"].as_str().unwrap();
    assert!(text.contains(stage) && !text.contains('\u{1b}'), "{text}");
    // Two layers of four heads, and their FFNs.
    let rows: Vec<&str> = text.split("importance\n").nth(1).unwrap().lines().skip(1).collect();
    assert_eq!(rows.iter().map(|row| row.split_whitespace().count()).collect::<Vec<_>>(), [6, 6], "{text}");
    let path = "runs/results/sst2/heads+ffns/bad/seed-1337.json";
    assert_eq!(shown(&[path]), shown(&["sst2-heads+ffns-bad"]).replace(&path_of(&text), path));
    assert_eq!(serde_json::from_str::<Value>(&shown(&["--json"])).unwrap(), record);
    bench.record("sst2", &["--mode", "full"]);
    refusal(
        &typed(&bench, &["show", "--store", "runs"]),
        2,
        &["several records", "sst2-heads+ffns-full-1337-"],
    );
    refusal(
        &typed(&bench, &["show", "nothing", "--store", "runs"]),
        2,
        &["nothing", "sst2-heads+ffns-bad-1337-"],
    );
    refusal(
        &typed(&bench, &["show", "--scores", "sst2-heads+ffns-full", "--store", "runs"]),
        2,
        &["nothing was searched"],
    );
    bench.write("no.json", "{}");
    refusal(&typed(&bench, &["show", "no.json"]), 3, &["no.json is no record"]);
}

fn path_of(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("record: ")).unwrap().to_owned()
}

#[test]
fn every_key_is_listed_with_what_it_holds_its_default_and_its_meaning() {
    let bench = Bench::new("SST-2");
    let listed = |words: &[&str]| {
        let output = typed(&bench, &[&["config"], words].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let all: Value = serde_json::from_str(&listed(&["--json"])).unwrap();
    let keys = all["keys"].as_array().unwrap();
    let text = listed(&[]);
    for key in keys {
        let name = key["key"].as_str().unwrap();
        assert!(text.contains(&format!("{name} ")) && key["about"].as_str().unwrap().len() > 10, "{name}");
        assert!(!key["holds"].as_str().unwrap().is_empty(), "{name}");
    }
    assert!(
        text.contains(
            "train.epochs = 3\n    passes over the training examples; a whole number, at least 1\n"
        ),
        "{text}"
    );
    assert!(text.contains("data.train_limit has no default\n"), "{text}");
    let mode = listed(&["mode"]);
    assert!(mode.starts_with("mode = \"good\"\n") && mode.contains("      bad: as many"), "{mode}");
    let train = listed(&["train"]);
    assert_eq!(
        train.matches(" = ").count() + train.matches(" has no default").count(),
        keys.iter().filter(|key| key["key"].as_str().unwrap().starts_with("train.")).count()
    );
    let plan = succeeded(&mut bench.run("sst2", &["--dry-run"]));
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(
        plan.contains("\n# data.train_limit is not set: only the first N training examples; a whole number"),
        "{plan}"
    );
}

#[test]
fn a_smoke_run_goes_through_every_stage_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let smoke = |more: &[&str]| {
        let mut command = lottery();
        command.args(["run", "--smoke"]).args(more).current_dir(folder.path());
        command.env("LOTTERY_CACHE", folder.path().join("cache")).env("TMPDIR", folder.path());
        command
    };
    let output = succeeded(&mut smoke(&["--json"]));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    for stage in ["finetune", "search", "evaluate", "retrain"] {
        assert!(record["stages"][stage].is_string(), "{record}");
    }
    let said = stderr(&output);
    assert!(said.contains("finetune-") && !said.contains("next:"), "{said}");
    assert!(record["path"].is_null(), "its file is gone");
    let left = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["cache"]);
    succeeded(&mut smoke(&["--store", "kept", "--quiet"]));
    assert_eq!(files(&folder.path().join("kept/results")).len(), 1);
    let both = smoke(&["--task", "rte"]).output().unwrap();
    assert!(both.status.code() == Some(2) && stderr(&both).contains("--smoke"), "{}", stderr(&both));
}

#[test]
fn denied_warnings_are_an_exit_code_of_their_own_and_the_record_is_written() {
    let bench = Bench::new("SST-2");
    let output = typed(&bench, &words(&bench, &["--deny-warnings", "--json"]));
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["warnings"][0], "importance and report share the dev split");
    assert!(stderr(&output).contains("error: --deny-warnings: the record is written, and warns: importance"));
    // Without warnings there is nothing to deny.
    let quiet = typed(&bench, &words(&bench, &["--deny-warnings", "--mode", "full"]));
    assert_eq!(quiet.status.code(), Some(0), "{}", stderr(&quiet));
    let mut sweep =
        crate::sweep::sweep(&bench, "runs", &["--tasks", "sst2", "--modes", "good,full", "--deny-warnings"]);
    let output = sweep.output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 of 2 records have warnings"), "{}", stderr(&output));
}

fn words<'a>(bench: &Bench, more: &[&'a str]) -> Vec<&'a str> {
    bench.arguments("runs", "sst2", more).into_iter().map(|word| &*String::leak(word)).collect()
}
