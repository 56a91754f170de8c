//! What people see, at 80 and at 120 columns, against the files of `snapshots/`. `LOTTERY_SNAPSHOTS=write` writes them
//! anew; `git diff` then shows what has changed.

use std::{fs, path::Path, process::Output};

use clap::CommandFactory;
use serde_json::{Value, json};

use crate::{
    fixture::{Bench, json_file, stderr},
    output::plain,
};

const COLUMNS: [usize; 2] = [80, 120];

fn typed(bench: &Bench, columns: usize, words: &[&str]) -> Output {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut command = plain(bench, &words);
    command.env("COLUMNS", columns.to_string()).env("LOTTERY_CACHE", bench.path("cache")).output().unwrap()
}

/// Compares what was said with the file, after `hidden` words, which differ between machines, were replaced.
fn compare(name: &str, columns: usize, output: &Output, hidden: &[(&str, &str)]) {
    let mut said = String::from_utf8(output.stdout.clone()).unwrap();
    if !output.stderr.is_empty() {
        said += &format!("--- stderr\n{}", stderr(output));
    }
    for (word, instead) in hidden {
        said = said.replace(word, instead);
    }
    let lines = said.lines().map(|line| line.trim_end().to_owned() + "\n");
    let said: String = lines.collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots");
    let path = dir.join(format!("{name}.{columns}.txt"));
    if std::env::var_os("LOTTERY_SNAPSHOTS").is_some_and(|value| value == "write") {
        fs::write(&path, said).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differ = kept.lines().zip(said.lines()).position(|(kept, said)| kept != said);
    assert!(
        kept == said,
        "{} is not what is said (LOTTERY_SNAPSHOTS=write writes it anew), from line {}:\n{said}",
        path.display(),
        differ.unwrap_or_else(|| kept.lines().count().min(said.lines().count())) + 1,
    );
}

#[test]
fn the_help_of_every_verb_fits_and_is_what_it_was() {
    let bench = Bench::new("SST-2");
    let command = lottery::cli::Cli::command();
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for columns in COLUMNS {
        for verb in verbs.iter().map(String::as_str).chain([""]) {
            let words: Vec<&str> = [verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
            let output = typed(&bench, columns, &words);
            let text = String::from_utf8(output.stdout.clone()).unwrap();
            // What the parser does not break: examples, and the list of a value's names.
            let long =
                text.lines().filter(|line| line.chars().count() > columns && !line.contains("lottery "));
            assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new(), "{verb} at {columns}");
            let name = if verb.is_empty() { "help".to_owned() } else { format!("help-{verb}") };
            compare(&name, columns, &output, &[]);
        }
    }
}

/// A store with records and a sweep, whose numbers are made up.
fn store(bench: &Bench) {
    let grid = [
        "sweep",
        "--tasks",
        "demo",
        "--modes",
        "good,bad,random",
        "--seeds",
        "1-3",
        "--name",
        "study",
        "--plan",
    ];
    let planned = typed(bench, 80, &grid);
    assert!(planned.status.success(), "{}", stderr(&planned));
    let id = String::from_utf8(planned.stdout).unwrap().trim().to_owned();
    let sweep = json_file(&bench.path(&format!("runs/sweeps/{id}/sweep.json")));
    for (n, run) in sweep["runs"].as_array().unwrap().iter().enumerate() {
        let config = &run["config"];
        let (mode, seed) = (config["mode"].as_str().unwrap(), config["seed"].as_u64().unwrap());
        let name = run["name"].as_str().unwrap();
        let mut state = json!({ "format_version": 1, "run": name, "status": "done", "attempts": 1,
            "exit_code": 0, "error": null, "record": null, "seconds": 20.5 });
        if seed == 3 {
            (state["status"], state["exit_code"]) = (json!("failed"), json!(1));
            state["error"] =
                json!(format!("training diverged at step {n}: the loss is NaN. Lower the learning rate."));
        } else {
            let record = record(config, mode, seed, name);
            bench.write(&format!("runs/results/demo/heads+ffns/{mode}/seed-{seed}.json"), record.to_string());
        }
        bench.write(&format!("runs/sweeps/{id}/runs/{name}.json"), state.to_string());
    }
    bench.write("runs/results/demo/heads+ffns/good/seed-9.json", "{\"task\": \"demo\"");
    bench.write(
        "runs/events/demo-heads+ffns-full-5-0123456789ab.jsonl",
        concat!(
            r#"{"time":1.5,"host":"elsewhere","pid":7,"event":"run_begins","command":"lottery run --mode full --seed 5"}"#,
            "\n",
            r#"{"time":2.5,"host":"elsewhere","pid":7,"stage":"finetune-0123456789ab","event":"step","step":121,"total":500}"#,
            "\n"
        ),
    );
}

fn record(config: &Value, mode: &str, seed: u64, name: &str) -> Value {
    let score = |score: f64| json!({ "metrics": { "accuracy": score } });
    let retrained = match mode {
        "good" => 0.92,
        "random" => 0.87,
        _ => 0.81,
    };
    let mut warnings = vec!["importance and report share the dev split".to_owned()];
    if seed == 2 {
        let full = "the full model is no better than the majority class";
        warnings
            .insert(0, format!("{full}: accuracy 0.5100 against 0.5000; what survives pruning says nothing"));
    }
    let mut full = score(if seed == 2 { 0.51 } else { 0.9475 });
    full["baseline"] = json!(0.5);
    json!({
        "format_version": 1, "task": "demo", "metric": "accuracy", "method": "heads+ffns", "mode": mode, "seed": seed,
        "model": { "name": "tiny", "sha256": "5f".repeat(32), "layers": 4, "heads": 4 },
        "data": { "sha256": { "dev": "d", "train": "t" } },
        "full": full, "pruned": score(0.865), "retrained": score(retrained - seed as f64 / 100.0),
        "ticket": { "heads": ["1101", "1111", "0111", "1011"], "ffns": "0100", "heads_kept": 13, "heads_total": 16,
            "ffns_kept": 1, "ffns_total": 4, "encoder_weights_kept": 0.419, "stage": "search-0123456789ab" },
        "warnings": warnings, "timing": { "finetune_s": 18.4, "search_s": 2.5, "evaluate_s": 0.5, "retrain_s": 9.4 },
        "device": { "kind": "cpu", "name": "a processor", "threads": 2, "dtype": "f32" },
        "provenance": { "written": "2026-11-29T17:00:00Z", "host": "here", "command": format!("lottery run # {name}"), "commit": null },
        "config": config,
        "stages": { "finetune": format!("finetune-{seed:012}"), "search": "search-0123456789ab",
            "evaluate": "evaluate-0123456789ab", "retrain": format!("retrain-{seed:012}") },
    })
}

#[test]
fn tables_plans_and_reports_fit_and_are_what_they_were() {
    let bench = Bench::new("SST-2");
    store(&bench);
    let root = bench.root.path().to_string_lossy().into_owned();
    // On some machines the temporary folder is a link.
    let real = fs::canonicalize(bench.root.path()).unwrap().to_string_lossy().into_owned();
    let hidden = [(&*real, "DIR"), (&*root, "DIR")];
    for columns in COLUMNS {
        for (name, words) in [
            ("status", &["status"][..]),
            ("status-failed", &["status", "--failed"]),
            ("status-sweep", &["status", "study"]),
            ("show", &["show", "runs/results/demo/heads+ffns/random/seed-2.json"]),
            ("config", &["config"]),
            ("config-mode", &["config", "mode", "importance"]),
            (
                "plan",
                &[
                    "sweep",
                    "--tasks",
                    "demo",
                    "--modes",
                    "good,bad,random",
                    "--seeds",
                    "7,8",
                    "--dry-run",
                    "--list",
                    "--store",
                    "none",
                ],
            ),
            ("gc", &["gc", "--dry-run"]),
            ("report", &["report", "runs", "--published", "prasanna2020"]),
            ("compare", &["compare", "mode=good", "mode=bad", "--no-examples"]),
            (
                "reproduce",
                &["reproduce", "liang2021/table1", "--tasks", "rte", "--data", "none", "--dry-run"],
            ),
            ("data", &["data", "list"]),
            ("unknown-flag", &["run", "--lr", "3"]),
            ("unknown-task", &["run", "--task", "rtee"]),
            ("unknown-verb", &["rnu"]),
            ("no-number", &["run", "--seed", "x"]),
        ] {
            let output = typed(&bench, columns, words);
            let text = String::from_utf8(output.stdout.clone()).unwrap();
            let wide = text.lines().filter(|line| line.contains(['│', '┌', '└', '╞']));
            assert!(wide.clone().all(|line| line.chars().count() <= columns), "{name} at {columns}:\n{text}");
            compare(name, columns, &output, &hidden);
        }
    }
}

/// Numbers and what depends on their width, replaced: they differ between machines.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words = line.split_whitespace().map(|word| {
            let is_number = |c: char| c.is_ascii_digit() || "+-.,:%×±</".contains(c);
            match word {
                _ if word.chars().all(is_number) && word.contains(|c: char| c.is_ascii_digit()) => {
                    "#".to_owned()
                }
                _ if word.chars().all(|c| !c.is_alphanumeric())
                    && word.contains(['─', '═', '┬', '╪', '┴']) =>
                {
                    "──".to_owned()
                }
                _ => word.to_owned(),
            }
        });
        let words: Vec<String> = words.collect();
        let line = words.join(" ");
        // A cell that was broken into several lines has fewer or more of them with other numbers.
        if line.chars().any(char::is_alphabetic) {
            out += &(line + "\n");
        }
    }
    out
}

#[test]
fn what_runs_and_analyses_say_fits_and_is_what_it_was() {
    let bench = Bench::new("SST-2");
    let root = fs::canonicalize(bench.root.path()).unwrap().to_string_lossy().into_owned();
    let record = "runs/results/sst2/heads+ffns/good/seed-1337.json";
    let run: Vec<String> = bench.arguments("runs", "sst2", &[]);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let level = |(mode, seed): (&str, &str)| {
        let level = ["--method", "one-shot", "--set", "prune.level=3", "--quiet"];
        let more = [&level[..], &["--mode", mode, "--seed", seed]].concat();
        let words: Vec<String> = bench.arguments("runs", "sst2", &more);
        let output = typed(&bench, 80, &words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
    };
    for columns in COLUMNS {
        for (name, words) in [
            ("run", run.as_slice()),
            ("run-plan", &[run.as_slice(), &["--dry-run"]].concat()),
            ("importance", &["importance", record, "--quiet"]),
            ("ablate", &["ablate", record, "--condition", "zero:qkv@0", "--quiet"]),
            ("eval", &["eval", record, "--task", "sst2", "--data", "glue", "--quiet"]),
            (
                "export",
                &[
                    "export",
                    record,
                    "--ticket",
                    "--latency",
                    "off",
                    "--out",
                    &format!("{columns}.safetensors"),
                ],
            ),
            ("levels", &["levels"]),
            ("overlap", &["overlap"]),
        ] {
            if name == "run" {
                // Each width begins with an empty store.
                _ = fs::remove_dir_all(bench.path("runs"));
            }
            if name == "levels" && columns == COLUMNS[0] {
                [("good", "1"), ("random", "1"), ("bad", "1"), ("good", "2")].into_iter().for_each(level);
            }
            let mut output = typed(&bench, columns, words);
            let text = String::from_utf8(output.stdout.clone()).unwrap();
            let wide = text.lines().filter(|line| line.contains(['│', '┌', '└', '╞']));
            assert!(wide.clone().all(|line| line.chars().count() <= columns), "{name} at {columns}:\n{text}");
            output.stdout = masked(&text.replace(&root, "DIR")).into_bytes();
            output.stderr = masked(&stderr(&output).replace(&root, "DIR")).into_bytes();
            compare(name, columns, &output, &[]);
        }
    }
}

#[test]
fn patterns_of_attention_fit_and_are_told_as_they_were() {
    let bench = Bench::new("SST-2");
    // Long enough for a pattern.
    let rows: String =
        (0..48).map(|at| format!("{}\t{}\n", ["a", "b", "c", "a b"].join(" c ").repeat(2), at % 2)).collect();
    bench.write("glue/SST-2/dev.tsv", format!("sentence\tlabel\n{rows}"));
    bench.record("sst2", &["--set", "data.max_length=48"]);
    let record = "runs/results/sst2/heads+ffns/good/seed-1337.json";
    for columns in COLUMNS {
        let mut output = typed(&bench, columns, &["attention", record, "--quiet", "--heads"]);
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= columns), "at {columns}:\n{text}");
        output.stdout = masked(&text).into_bytes();
        compare("attention", columns, &output, &[]);
    }
}
