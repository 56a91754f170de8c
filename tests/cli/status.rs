//! `lottery status`: what it tells of a running sweep, and how fast it is in a large store.

use std::{fs, path::Path, process::Stdio, time::Instant};

use serde_json::Value;

use crate::{
    fixture::{Bench, json_file, refusal, stderr},
    output::plain,
    processes::{has, signal, wait_until},
    sweep::{all_done, sweep},
};

fn status(bench: &Bench, words: &[&str]) -> std::process::Output {
    let words: Vec<String> =
        ["status", "--store", "runs"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    plain(bench, &words).output().unwrap()
}

fn shown(bench: &Bench) -> String {
    let output = status(bench, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_running_sweep_shows_the_stage_the_loss_and_when_it_ends() {
    let bench = Bench::new("SST-2");
    refusal(&status(&bench, &[]), 3, &["there is no store", "--store"]);
    fs::create_dir(bench.path("runs")).unwrap();
    refusal(&status(&bench, &[]), 3, &["there is no store", "--store"]);
    let long = ["--tasks", "sst2", "--seeds", "1,2", "--set", "train.epochs=2000"];
    let mut child = sweep(&bench, "runs", &long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait_until(&mut child, || has(&bench.path("runs"), "finetune", None)));
    let mut seen = String::new();
    assert!(wait_until(&mut child, || {
        seen = shown(&bench);
        seen.contains("loss ")
    }));
    assert!(seen.contains("2 runs, 0 done, 0 failed, 1 running, 1 pending"), "{seen}");
    assert!(seen.contains("running sst2-heads+ffns-good-1-"), "{seen}");
    assert!(seen.contains("finetune ") && seen.contains("/40000, ") && seen.contains("ETA "), "{seen}");
    signal(&child, libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let seen = shown(&bench);
    assert!(seen.contains("0 running, 2 pending") && seen.contains("no records"), "{seen}");
    // Nothing runs: there is nothing to watch.
    assert_eq!(status(&bench, &["--watch"]).stdout, seen.into_bytes());
    let document: Value = serde_json::from_slice(&status(&bench, &["--json"]).stdout).unwrap();
    assert_eq!(document["sweeps"][0]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(document["sweeps"][0]["runs"][0]["status"], "pending");
}

#[test]
fn records_of_other_settings_are_neither_averaged_nor_taken_for_each_other() {
    let bench = Bench::new("SST-2");
    let quick = ["--tasks", "sst2", "--modes", "full", "--set", "train.epochs=1,2", "--seeds"];
    all_done(&bench, "runs", &[&quick[..], &["1,2"]].concat());
    let table = shown(&bench);
    assert!(table.contains("settings that differ"), "{table}");
    for (setting, records) in [("train.epochs=1", 2), ("train.epochs=2", 2)] {
        let row = table.lines().find(|line| line.contains(setting)).expect(setting);
        let cells: Vec<&str> = row.split(['│', '┆']).map(str::trim).collect();
        assert_eq!(cells[6].parse(), Ok(records), "{row}");
        assert!(cells[7].contains(" ± "), "{row}");
    }
    // The second of a seed's records has moved the first one aside.
    let document: Value = serde_json::from_slice(&status(&bench, &["--json"]).stdout).unwrap();
    let records = document["records"].as_array().unwrap();
    for run in document["sweeps"][0]["runs"].as_array().unwrap() {
        let epochs =
            json_file(Path::new(run["record"].as_str().unwrap()))["config"]["train"]["epochs"].clone();
        let own = records.iter().find(|record| record["run"] == run["run"]).unwrap();
        assert_eq!(own["path"], run["record"]);
        let sweep = json_file(
            &bench.path("runs/sweeps").join(document["sweeps"][0]["id"].as_str().unwrap()).join("sweep.json"),
        );
        let wanted =
            sweep["runs"].as_array().unwrap().iter().find(|wanted| wanted["name"] == run["run"]).unwrap();
        assert_eq!(wanted["config"]["train"]["epochs"], epochs, "{run}");
    }
    all_done(&bench, "alike", &["--tasks", "sst2", "--modes", "full", "--seeds", "1,2"]);
    let words = ["status", "--store", "alike"].map(str::to_owned);
    let alike = String::from_utf8(plain(&bench, &words).output().unwrap().stdout).unwrap();
    assert!(alike.contains(" ± ") && !alike.contains("settings that differ"), "{alike}");
}

#[test]
fn what_records_warn_of_is_told_with_how_many_do() {
    let bench = Bench::new("SST-2");
    // With all steps as small as that nothing is learnt.
    let quick =
        ["--tasks", "sst2", "--seeds", "1,2", "--set", "train.learning_rate=1e-9", "--set", "train.epochs=1"];
    all_done(&bench, "runs", &[&quick[..], &["--modes", "full,good"]].concat());
    let table = shown(&bench);
    for line in [
        "warning a: importance and report share the dev split: 2 of 4 records",
        "warning of all 4 records: the full model is no better than the majority class",
        "warning c: the search ran out of units to prune before the score fell below the threshold: 2 of 4 records",
    ] {
        assert!(table.contains(&format!("\n{line}\n")), "{table}");
    }
    // What all of them have tells none apart.
    for (mode, warned) in [("full", ""), ("good", "a, c")] {
        let row = table.lines().find(|line| line.contains(&format!("┆ {mode} "))).expect(mode);
        let cells: Vec<&str> = row.split(['│', '┆']).map(str::trim).collect();
        assert_eq!(cells[cells.len() - 2], warned, "{table}");
    }
    let document: Value = serde_json::from_slice(&status(&bench, &["--json"]).stdout).unwrap();
    for record in document["records"].as_array().unwrap() {
        let own = json_file(Path::new(record["path"].as_str().unwrap()));
        assert_eq!(record["warnings"], own["warnings"]);
    }
}

#[test]
fn ten_thousand_records_and_runs_are_all_shown() {
    const RUNS: usize = 10_000;
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "full", "--set", "train.epochs=1"]);
    let text = serde_json::to_string_pretty(&record).unwrap();
    let modes = ["good", "bad", "random", "full"];
    let runs: Vec<String> = (0..RUNS).map(|n| format!("sst2-x-{}-{n}-{n:012x}", modes[n % 4])).collect();
    let dir = bench.path("runs/sweeps/large-0");
    fs::create_dir_all(dir.join("runs")).unwrap();
    for (n, run) in runs.iter().enumerate() {
        let path = format!("runs/results/sst2/heads+ffns/{}/seed-{n}.json", modes[n % 4]);
        let own = text.replace("\"mode\": \"full\"", &format!("\"mode\": \"{}\"", modes[n % 4]));
        bench.write(&path, own.replace("\"seed\": 1337", &format!("\"seed\": {n}")));
        let state = serde_json::json!({
            "format_version": 1, "run": run, "status": if n == 7 { "failed" } else { "done" }, "attempts": 1,
            "exit_code": 0, "error": if n == 7 { "no such file" } else { "" }, "record": path, "seconds": 1.5,
        });
        fs::write(dir.join("runs").join(format!("{run}.json")), state.to_string()).unwrap();
    }
    let configs: Vec<Value> =
        runs.iter().map(|run| serde_json::json!({ "name": run, "config": record["config"] })).collect();
    let sweep =
        serde_json::json!({ "format_version": 1, "id": "large-0", "directory": "/", "runs": configs });
    fs::write(dir.join("sweep.json"), sweep.to_string()).unwrap();
    // The fastest of a few: the machine may have other things to do.
    let times = (0..5).map(|_| {
        let began = Instant::now();
        let seen = shown(&bench);
        assert!(seen.contains("10000 runs, 9999 done, 1 failed") && seen.contains("no such file"), "{seen}");
        assert!(seen.contains("10001 records"), "{seen}");
        began.elapsed().as_secs_f64()
    });
    let fastest = times.fold(f64::INFINITY, f64::min);
    println!("status of {RUNS} records and runs: {fastest:.3} s");
}

#[test]
fn what_a_record_or_a_state_says_does_nothing_to_the_terminal_and_is_short() {
    let bench = Bench::new("SST-2");
    bench.write("glue/SST-2/dev.tsv", "");
    let failed =
        sweep(&bench, "runs", &["--tasks", "sst2", "--seeds", "1", "--keep-going"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(5), "{}", stderr(&failed));
    let bad = format!("\x1b]0;title\x07\u{202e}{}", "x".repeat(100_000));
    let scores = serde_json::json!({ "metrics": { bad.as_str(): 0.5 } });
    let record = |task: &str, seed: u32| {
        let record = serde_json::json!({
            "task": task, "metric": bad, "method": "\x1b[31m", "mode": "good", "seed": seed,
            "model": { "name": bad, "sha256": bad }, "stages": { "finetune": format!("{seed}") },
            "full": scores, "pruned": scores, "retrained": scores,
            "warnings": [bad], "config": { bad.as_str(): format!("{bad}{seed}{bad}") },
        });
        bench.write(&format!("runs/results/\x1b[2J/\x1b[31m/good/seed-{seed}.json"), record.to_string());
    };
    record("\x1b[2J", 1);
    record("\x1b[2J", 2);
    // This one is passed over, for its place is another.
    record(&bad, 3);
    let sweeps = bench.path("runs/sweeps");
    let state = crate::fixture::files(&sweeps)
        .into_iter()
        .find(|path| path.parent().is_some_and(|folder| folder.ends_with("runs")))
        .unwrap();
    let state = sweeps.join(state);
    let mut value = json_file(&state);
    value["error"] = bad.clone().into();
    fs::write(&state, value.to_string()).unwrap();
    let output = status(&bench, &[]);
    for (seen, times) in [(String::from_utf8(output.stdout.clone()).unwrap(), 4), (stderr(&output), 1)] {
        assert!(!seen.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{seen:?}");
        assert!(
            seen.matches(r"\u{1b}]0;title\u{7}\u{202e}xx").count() >= times && seen.len() < 20_000,
            "{seen}"
        );
    }
    let seen = String::from_utf8(output.stdout).unwrap();
    // Settings that differ where they are cut are others still.
    assert_eq!(seen.matches(r"\u{1b}[31m ").count(), 2, "{seen}");
}
