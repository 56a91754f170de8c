//! What is convenient for whoever types sweeps: names, groups of values, a plan, stopping and forgetting.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    fixture::{Bench, files, json_file, refusal, stderr},
    output::plain,
    processes::{has, signal, wait_until},
    sweep::{all_done, document, runs, sweep},
};

fn typed(bench: &Bench, words: &[&str]) -> Output {
    let words: Vec<String> =
        words.iter().chain(&["--store", "runs"]).map(|word| (*word).to_owned()).collect();
    plain(bench, &words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_plan_begins_with_what_the_runs_are_made_of_and_lists_them_on_request() {
    let bench = Bench::new("SST-2");
    let grid =
        ["--tasks", "glue", "--modes", "good,bad,random", "--seeds", "paper", "--name", "mine", "--dry-run"];
    let plan = said(&sweep(&bench, "runs", &grid).output().unwrap());
    assert!(
        plan.starts_with("135 runs = 9 tasks × 3 modes × 5 seeds: 0 already done, 135 to do\nsweep: mine-"),
        "{plan}"
    );
    assert!(plan.contains("\ntime: ") && plan.contains("\ndisk: ") && plan.lines().count() == 4, "{plan}");
    let list = said(&sweep(&bench, "runs", &[&grid[..], &["--list"]].concat()).output().unwrap());
    assert_eq!(list.lines().filter(|line| line.starts_with('│')).count(), 136, "{list}");
    let ranges = ["--tasks", "sst2", "--seeds", "1-5,3,9", "--dry-run", "--json"];
    let planned = document(&sweep(&bench, "runs", &ranges).output().unwrap());
    let seeds: Vec<u64> = runs(&planned).iter().map(|run| run["config"]["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [1, 2, 3, 4, 5, 9]);
    assert!(!bench.path("runs").exists());
}

#[test]
fn a_model_or_data_that_cannot_be_had_stops_a_sweep_before_its_first_run() {
    let bench = Bench::new("SST-2");
    for (more, wanted) in [
        (&["--tasks", "sst2,rte"][..], &["2 of 4 runs cannot start", "no folder glue/RTE"][..]),
        // The tests are off the network.
        (&["--tasks", "sst2", "--models", "model,owner/name"], &["2 of 4 runs cannot start", "owner/name"]),
    ] {
        let output = sweep(&bench, "runs", &[more, &["--modes", "full,good"]].concat()).output().unwrap();
        refusal(&output, 3, wanted);
        assert_eq!(stderr(&output).matches("cannot start").count(), 1, "{}", stderr(&output));
        assert!(files(&bench.path("runs/stages")).is_empty() && !bench.path("runs/sweeps").exists());
    }
}

#[test]
fn runs_that_fail_alike_are_told_once_and_with_failed_each_has_its_log() {
    let bench = Bench::new("SST-2");
    let diverging = ["--tasks", "sst2", "--seeds", "1-3", "--set", "train.learning_rate=1e30"];
    let output = sweep(&bench, "runs", &diverging).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let table = said(&output);
    assert_eq!(table.matches("failed: ").count(), 1, "{table}");
    assert!(table.contains("failed: 3 alike, such as sst2 good seed 1: "), "{table}");
    assert!(said(&typed(&bench, &["status"])).contains("failed: 3 alike, such as sst2-heads+ffns-good-1-"));
    let failed = said(&typed(&bench, &["status", "--failed"]));
    assert_eq!((failed.matches("failed: ").count(), failed.matches("log: ").count()), (3, 3), "{failed}");
    assert!(failed.contains("lottery sweep retry grid-") && !failed.contains('│'), "{failed}");
}

#[test]
fn a_sweep_on_this_machine_is_cancelled_resumed_and_forgotten() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "sst2", "--seeds", "1,2", "--name", "long", "--set", "train.epochs=400"];
    let start = || sweep(&bench, "runs", &grid).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = start();
    assert!(wait_until(&mut child, || has(&bench.path("runs"), "finetune", None)));
    refusal(&typed(&bench, &["sweep", "forget", "long"]), 2, &["running", "lottery sweep cancel"]);
    let cancelled = typed(&bench, &["sweep", "cancel"]);
    assert!(said(&cancelled).contains("1 running stopped; its command resumes"), "{}", said(&cancelled));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    // An old request does not stop a new process.
    let mut child = start();
    let resumed = || crate::sweep::logs(&bench.path("runs")).contains("resuming after step");
    assert!(wait_until(&mut child, resumed));
    signal(&child, libc::SIGTERM);
    child.wait().unwrap();
    assert!(said(&typed(&bench, &["sweep", "cancel"])).contains("nothing was queued or running"));
    let stages = files(&bench.path("runs/stages"));
    assert!(said(&typed(&bench, &["sweep", "forget", "long"])).contains("is forgotten"));
    assert!(files(&bench.path("runs/sweeps")).is_empty());
    assert_eq!(files(&bench.path("runs/stages")), stages);
    // Its run is still listed, without a command whose settings are gone.
    let left = said(&typed(&bench, &["status"]));
    assert!(left.contains("stopped: sst2-heads+ffns-good-1-") && !left.contains("to resume"), "{left}");
    refusal(&typed(&bench, &["sweep", "forget", "long"]), 2, &["has no sweeps"]);
}

#[test]
fn status_shows_one_sweep_or_one_task_and_runs_outside_of_sweeps() {
    let bench = Bench::new("SST-2");
    bench.write_task("RTE");
    all_done(&bench, "runs", &["--tasks", "sst2", "--modes", "full", "--name", "one"]);
    all_done(&bench, "runs", &["--tasks", "rte", "--modes", "full", "--name", "two"]);
    let one = said(&typed(&bench, &["status", "one"]));
    assert!(one.contains("sweep one-") && !one.contains("two-") && !one.contains("rte"), "{one}");
    let rte = said(&typed(&bench, &["status", "--task", "RTE"]));
    assert!(rte.contains("sweep two-") && !rte.contains("one-") && rte.contains("1 record,"), "{rte}");
    refusal(&typed(&bench, &["status", "three"]), 2, &["three", "one-"]);

    let alone = ["--mode", "full", "--seed", "7", "--set", "train.epochs=2000"];
    let line = |fate: &str, at: &str| {
        let shown = said(&typed(&bench, &["status"]));
        let line = shown.lines().find(|line| line.starts_with(&format!("{fate}: sst2-heads+ffns-full-7-")));
        assert!(line.is_some_and(|line| line.contains(at)), "{fate}: {shown}");
        line.unwrap().to_owned()
    };
    let mut child = crate::processes::start(&bench, "runs", &alone);
    let events =
        || files(&bench.path("runs/events")).iter().any(|path| path.to_string_lossy().contains("full-7"));
    assert!(wait_until(&mut child, || events() && has(&bench.path("runs"), "finetune", Some("checkpoint"))
        || {
            let shown = said(&typed(&bench, &["status"]));
            shown.contains("finetune 1/40000") || shown.contains("/40000 (process")
        }));
    line("running", "/40000 (process");
    signal(&child, libc::SIGTERM);
    child.wait().unwrap();
    assert!(line("stopped", "at finetune ").contains("; to resume: "));
    let mut child = crate::processes::start(&bench, "runs", &alone);
    assert!(wait_until(&mut child, || said(&typed(&bench, &["status"])).contains("\nrunning: ")));
    child.kill().unwrap();
    child.wait().unwrap();
    line("interrupted", "; to resume: ");
    let shown: Value = serde_json::from_slice(&typed(&bench, &["status", "--json"]).stdout).unwrap();
    assert_eq!(shown["lone"][0]["fate"], "interrupted");
}

#[test]
fn whatever_is_damaged_is_named_with_what_is_wrong_and_the_rest_is_shown() {
    let bench = Bench::new("SST-2");
    all_done(&bench, "runs", &["--tasks", "sst2", "--modes", "full", "--seeds", "1,2", "--name", "good"]);
    all_done(&bench, "runs", &["--tasks", "sst2", "--modes", "full", "--seeds", "3", "--name", "bad"]);
    let folder = |name: &str| {
        let found = fs::read_dir(bench.path("runs/sweeps")).unwrap().flatten();
        let mut found = found.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
        found.next().unwrap().path()
    };
    let cut = |path: &Path| {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
    };
    let record = bench.path("runs/results/sst2/heads+ffns/full/seed-1.json");
    let state = fs::read_dir(folder("good").join("runs")).unwrap().flatten().next().unwrap().path();
    let list = folder("bad").join("sweep.json");
    [&record, &state, &list].into_iter().for_each(|path| cut(path));
    bench.write("runs/results/sst2/stray.json", "{}");
    let output = typed(&bench, &["status"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        said(&output).contains("sweep good-") && said(&output).contains("2 records,"),
        "{}",
        said(&output)
    );
    for (path, why) in [
        (&*record, "is damaged or not a record: "),
        (&state, "is damaged: "),
        (&list, "is no sweep: "),
        (Path::new("stray.json"), "is not in a folder <task>/<method>/<mode>"),
    ] {
        let name = path.file_name().unwrap().to_string_lossy();
        let told = stderr(&output);
        let line = told.lines().find(|line| line.starts_with("warning: ") && line.contains(&*name));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {told}");
    }
    // Whoever runs it again is told why it is not done.
    let again =
        sweep(&bench, "runs", &["--tasks", "sst2", "--modes", "full", "--seeds", "1,2", "--name", "good"]);
    let output = { again }.output().unwrap();
    assert!(
        output.status.success() && stderr(&output).contains("seed-1.json is damaged"),
        "{}",
        stderr(&output)
    );
    assert_eq!(json_file(&record)["seed"], 1);
    // What cannot be read can be forgotten.
    assert!(said(&typed(&bench, &["sweep", "forget", "bad"])).contains("is forgotten"));
}
