//! `--keep` of `lottery run` and `lottery sweep`.

use std::{fs, path::Path, process::Stdio, time::Duration};

use crate::{
    fixture::{Bench, stderr, succeeded},
    gc::{AGAIN, nothing_computed, of_stages},
    sweep::{all_done, assert_each_stage_computed_once, logs, outcomes, sweep},
};

const WEIGHTS: &str = "model.safetensors";
const GRID: &[&str] = &["--tasks", "sst2", "--modes", "good,bad,random,full", "--seeds", "1,2,3"];

#[test]
fn a_run_keeps_as_little_as_it_was_told_and_its_record_is_the_same() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", &[]);
    for (keep, predictions) in [("tickets", 3), ("none", 0)] {
        let output = succeeded(bench.run_in(keep, "sst2", &["--keep", keep]).arg("--json"));
        assert!(stderr(&output).contains(&format!("--keep {keep}: ")), "{}", stderr(&output));
        let store = bench.path(keep);
        assert_eq!(of_stages(&store, WEIGHTS).len(), 0);
        assert_eq!(of_stages(&store, "predictions").len(), predictions);
        assert_eq!(of_stages(&store, "ticket.json").len(), 1);
        assert_eq!(outcomes(&store), outcomes(&bench.path("whole")));
        let again = nothing_computed(&mut bench.run_in(keep, "sst2", &["--keep", keep]), 4);
        assert_eq!((&again["stages"], &again["config"]), (&whole["stages"], &whole["config"]));
    }
}

#[test]
fn a_sweep_that_keeps_tickets_never_has_more_weights_than_its_processes_need() {
    let bench = Bench::new("SST-2");
    all_done(&bench, "whole", GRID);
    for (store, jobs) in [("one", 1), ("two", 2)] {
        let dir = bench.path(store);
        let number = jobs.to_string();
        let mut child = sweep(&bench, store, &[GRID, &["--keep", "tickets", "--jobs", &number]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = most.max(of_stages(&dir, WEIGHTS).len());
            std::thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        // A fine-tuned and a retrained model for each process, of 15 that are trained.
        assert!((1..=2 * jobs).contains(&most), "{most} models at a time");
        assert_eq!(of_stages(&dir, WEIGHTS).len(), 0);
        assert_eq!(outcomes(&dir), outcomes(&bench.path("whole")));
        // No model went while somebody needed it.
        assert_each_stage_computed_once(&dir);
        assert!(!logs(&dir).contains(AGAIN), "{}", logs(&dir));
    }
    // The same command again has nothing to do, and another grid takes what it needs anew.
    let before = logs(&bench.path("one"));
    all_done(&bench, "one", &[GRID, &["--keep", "tickets"]].concat());
    assert_eq!(logs(&bench.path("one")), before);
    let other = ["--tasks", "sst2", "--seeds", "2", "--set", "search.threshold=0.5,0.6", "--keep", "tickets"];
    all_done(&bench, "one", &other);
    assert_eq!(logs(&bench.path("one")).matches(AGAIN).count(), 1);
    assert_eq!(of_stages(&bench.path("one"), WEIGHTS).len(), 0);
}

#[test]
fn a_killed_sweep_that_keeps_tickets_has_none_of_its_weights_in_the_end() {
    let bench = Bench::new("SST-2");
    let dir = bench.path("runs");
    let grid = [GRID, &["--keep", "tickets", "--jobs", "2", "--quiet"]].concat();
    for kill in 0..6 {
        let mut child = sweep(&bench, "runs", &grid).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(60 + 50 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    all_done(&bench, "runs", &grid);
    assert_eq!(of_stages(&dir, WEIGHTS).len(), 0);
    assert_eq!(outcomes(&dir).len(), 12);
}

#[test]
fn a_sweep_leaves_the_weights_of_runs_that_it_did_not_begin() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "full", "--seed", "9"]);
    let grid = ["--tasks", "sst2", "--modes", "full", "--seeds", "8,9", "--keep", "tickets"];
    all_done(&bench, "runs", &grid);
    let id = record["stages"]["finetune"].as_str().unwrap();
    assert_eq!(of_stages(&bench.path("runs"), WEIGHTS), [Path::new(id).join(WEIGHTS)]);
}

#[test]
fn the_plan_of_a_sweep_says_what_the_disk_must_hold() {
    let bench = Bench::new("SST-2");
    let estimate = |arguments: &[&str]| {
        let words = [GRID, &["--dry-run", "--json"], arguments].concat();
        let output = sweep(&bench, "runs", &words).output().unwrap();
        crate::sweep::document(&output)["estimate"]["bytes"].as_u64().unwrap()
    };
    let model = fs::metadata(bench.path("model/model.safetensors")).unwrap().len();
    assert_eq!(estimate(&[]), 12 * model);
    assert_eq!(estimate(&["--keep", "tickets", "--jobs", "2"]), 4 * model);
}
