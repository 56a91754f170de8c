//! `lottery worker`: many processes on one sweep, and machines that only share its folder.
#![cfg(target_os = "linux")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    fixture::{Bench, assert_no_temporary_file, refusal, stderr},
    output::plain,
    processes::{has, signal, wait_until},
    sweep::{all_done, assert_each_stage_computed_once, document, outcomes, runs, sweep},
};

const GRID: &[&str] = &["--tasks", "sst2", "--modes", "good,random", "--seeds", "1,2,3,4"];

/// Writes the sweep down; its name.
fn plan(bench: &Bench, store: &str, grid: &[&str]) -> String {
    let output = sweep(bench, store, grid).arg("--plan").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!bench.path(store).join("stages").read_dir().unwrap().any(|_| true), "something was begun");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn worker(bench: &Bench, store: &str, id: &str, more: &[&str]) -> Command {
    let words = ["worker", id, "--store", store].into_iter().chain(more.iter().copied());
    let mut command = plain(bench, &words.map(str::to_owned).collect::<Vec<_>>());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lock file of the only run of the sweep.
fn lock_of_the_run(bench: &Bench, store: &str, id: &str) -> PathBuf {
    let text = fs::read_to_string(bench.path(store).join("sweeps").join(id).join("sweep.json")).unwrap();
    let sweep: serde_json::Value = serde_json::from_str(&text).unwrap();
    let name = sweep["runs"][0]["name"].as_str().unwrap();
    bench.path(store).join("locks").join(format!("run-{}", name.rsplit('-').next().unwrap()))
}

/// What a worker on another machine, whose system locks nobody here sees, keeps beside a lock.
fn beat_elsewhere(lock: &Path, beat: u64) {
    let lease =
        json!({"host": "other", "process": 7, "machine": "x", "name": "y", "patience": 1.0, "beat": beat});
    fs::write(lock.with_extension("lease"), lease.to_string()).unwrap();
}

#[test]
fn two_workers_and_eight_share_a_sweep_and_compute_every_stage_once() {
    let bench = Bench::new("SST-2");
    all_done(&bench, "whole", GRID);
    for workers in [2, 8] {
        let store = format!("shared-by-{workers}");
        let id = plan(&bench, &store, GRID);
        let begun: Vec<Child> =
            (0..workers).map(|_| worker(&bench, &store, &id, &[]).spawn().unwrap()).collect();
        let mut said = String::new();
        for child in begun {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert!(output.stdout.is_empty());
            said += &stderr(&output);
        }
        let dir = bench.path(&store);
        assert_each_stage_computed_once(&dir);
        assert_eq!(outcomes(&dir), outcomes(&bench.path("whole")));
        // A worker that comes late has nothing to do.
        let output = worker(&bench, &store, &id, &["--json"]).output().unwrap();
        assert!(output.status.success());
        assert!(runs(&document(&output)).iter().all(|run| run["attempts"] == 1), "{said}");
    }
}

#[test]
fn what_a_killed_worker_had_begun_another_takes_up() {
    let bench = Bench::new("SST-2");
    let grid = [GRID, &["--set", "train.epochs=8", "--set", "run.checkpoint_every=0"]].concat();
    all_done(&bench, "whole", &grid);
    let id = plan(&bench, "killed", &grid);
    let dir = bench.path("killed");
    for kill in 0..6 {
        let mut child = worker(&bench, "killed", &id, &["--jobs", "2"]).spawn().unwrap();
        assert!(wait_until(&mut child, || has(&dir, "finetune", Some("checkpoint"))));
        std::thread::sleep(Duration::from_millis(kill * 37));
        crate::sweep_kills::kill_with_all_runs(child, &dir);
    }
    let output = worker(&bench, "killed", &id, &["--jobs", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(outcomes(&dir), outcomes(&bench.path("whole")));
    assert_no_temporary_file(&dir.join("stages"));
}

#[test]
fn a_worker_whose_time_is_up_stops_where_the_work_can_be_taken_up_again() {
    let bench = Bench::new("SST-2");
    let grid =
        ["--tasks", "sst2", "--mode", "full", "--set", "train.epochs=5000", "--set", "data.train_limit=64"];
    let id = plan(&bench, "late", &grid);
    let began = Instant::now();
    let output = worker(&bench, "late", &id, &["--time-limit", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(stderr(&output).contains("with 1 of 1 runs left"), "{}", stderr(&output));
    assert!(has(&bench.path("late"), "finetune", Some("checkpoint")));
    // So does one that is asked to.
    let mut child = worker(&bench, "late", &id, &[]).spawn().unwrap();
    assert!(
        wait_until(&mut child, || crate::sweep::logs(&bench.path("late")).contains("resuming after step"))
    );
    signal(&child, libc::SIGUSR1);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}

#[test]
fn a_run_of_another_machine_is_left_to_it_while_it_lives_and_taken_over_when_it_is_silent() {
    let bench = Bench::new("SST-2");
    let id = plan(&bench, "far", &["--tasks", "sst2", "--mode", "full"]);
    let lock = lock_of_the_run(&bench, "far", &id);
    beat_elsewhere(&lock, 0);
    // Its one run is somebody else's: nothing is left to begin.
    let output = worker(&bench, "far", &id, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(outcomes(&bench.path("far")).is_empty());

    // A sweep waits for it, as long as it gives signs of life.
    let mut child = sweep(&bench, "far", &["--tasks", "sst2", "--mode", "full", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for beat in 1..16 {
        beat_elsewhere(&lock, beat);
        std::thread::sleep(Duration::from_millis(150));
    }
    assert!(child.try_wait().unwrap().is_none() && outcomes(&bench.path("far")).is_empty());
    let silent = Instant::now();
    let record = bench.path("far").join("results/sst2/heads+ffns/full/seed-1337.json");
    assert!(wait_until(&mut child, || record.exists()));
    assert!(silent.elapsed() >= Duration::from_millis(800));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!lock.with_extension("lease").exists());
}

#[test]
fn a_worker_of_no_sweep_and_a_wrong_time_are_refused() {
    let bench = Bench::new("SST-2");
    let id = plan(&bench, "some", &["--tasks", "sst2", "--modes", "full"]);
    let refused = |words: &[&str], wanted: &str| {
        let words: Vec<String> = ["worker"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        refusal(&plain(&bench, &words).output().unwrap(), 2, &[wanted]);
    };
    refused(&["nothing", "--store", "some"], "no sweep's name starts with nothing");
    refused(&["x", "--store", "elsewhere"], "has no sweep");
    let output = worker(&bench, "some", &id, &["--time-limit", "soon"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected a number of seconds"), "{}", stderr(&output));
    refused(&[&id, "--store=some", "--gpus=0,"], "--gpus");
    let output = worker(&bench, "some", &id, &[]).env("LOTTERY_LEASE", "never").output().unwrap();
    refusal(&output, 2, &["LOTTERY_LEASE"]);
}

#[test]
fn every_process_is_shown_the_gpus_of_its_turn() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "sst2", "--modes", "full", "--seeds", "1,2", "--gpus", "4,7"];
    let grid = [&grid[..], &["--set", "train.epochs=40", "--set", "run.checkpoint_every=0"]].concat();
    let mut child =
        sweep(&bench, "gpus", &grid).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let dir = bench.path("gpus");
    let shown = || {
        let environment = |id| fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let of = |id| {
            let text = String::from_utf8_lossy(&environment(id)).into_owned();
            text.split('\0').find_map(|entry| entry.strip_prefix("CUDA_VISIBLE_DEVICES=").map(str::to_owned))
        };
        let mut all: Vec<String> =
            crate::sweep_kills::processes_of(&dir).into_iter().filter_map(of).collect();
        all.sort();
        all
    };
    assert!(wait_until(&mut child, || shown() == ["4", "7"]), "{:?}", shown());
    assert!(child.wait().unwrap().success());
}
