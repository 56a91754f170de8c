//! Sweeps that are stopped and killed, and end as if nothing had happened.
#![cfg(target_os = "linux")]

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crate::{
    fixture::{Bench, assert_no_temporary_file, stderr},
    processes::{has, hearing_of_hang_ups, signal, wait_until},
    sweep::{all_done, assert_each_stage_computed_once, outcomes, sweep},
};

/// Long enough to be caught in the middle, with a checkpoint after every step.
const GRID: &[&str] = &[
    "--tasks",
    "sst2",
    "--modes",
    "good,random",
    "--seeds",
    "1,2",
    "--set",
    "train.epochs=8",
    "--set",
    "run.checkpoint_every=0",
    "--jobs",
    "2",
];

fn start(bench: &Bench, store: &str) -> Child {
    let mut command = sweep(bench, store, GRID);
    hearing_of_hang_ups(&mut command, true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The processes that were begun with this folder in their arguments.
pub fn processes_of(dir: &Path) -> Vec<i32> {
    let wanted = dir.to_string_lossy().into_owned();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &i32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&wanted)
    })
    .collect()
}

/// To all processes of this folder; those that are gone by then need none.
pub fn signal_all(dir: &Path, signal: i32) {
    for id in processes_of(dir) {
        // SAFETY: kill(2) takes no pointers; the process has this test's own folder in its arguments.
        unsafe { libc::kill(id, signal) };
    }
}

/// SIGKILL to the sweep or worker, then to the runs that it began.
pub fn kill_with_all_runs(mut child: Child, dir: &Path) {
    child.kill().unwrap();
    child.wait().unwrap();
    signal_all(dir, libc::SIGKILL);
    wait_for_none_of(dir);
}

fn wait_for_none_of(dir: &Path) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !processes_of(dir).is_empty() {
        assert!(Instant::now() < patience, "processes of {} go on", dir.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_sweep_that_was_stopped_goes_on_with_the_same_command_to_the_same_records() {
    let bench = Bench::new("SST-2");
    all_done(&bench, "whole", GRID);
    let dir = bench.path("stopped");
    for sent in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGHUP] {
        let _ = fs::remove_dir_all(&dir);
        let mut child = start(&bench, "stopped");
        assert!(wait_until(&mut child, || has(&dir, "finetune", Some("checkpoint"))));
        signal(&child, sent);
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("with 4 of 4 runs left") && said.contains("To resume: "), "{said}");
        assert!(said.contains("lottery sweep --model model"), "{said}");
        // Its runs are not left behind, and have written where they are.
        assert_eq!(processes_of(&dir), Vec::<i32>::new());
        assert!(outcomes(&dir).is_empty());
    }
    all_done(&bench, "stopped", GRID);
    let logs = crate::sweep::logs(&dir);
    assert!(logs.contains("resuming after step"), "{logs}");
    assert_eq!(outcomes(&dir), outcomes(&bench.path("whole")));
    assert_no_temporary_file(&dir.join("sweeps"));
}

#[test]
fn a_sweep_killed_at_random_instants_while_its_runs_live_on_computes_nothing_twice() {
    let bench = Bench::new("SST-2");
    all_done(&bench, "whole", GRID);
    let dir = bench.path("killed");
    let mut kills = 0;
    loop {
        let mut child = start(&bench, "killed");
        std::thread::sleep(Duration::from_micros(5_000 + kills * 7919 % 60_000 + kills * 1000));
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    println!("{kills} kills of the sweep");
    assert!(kills > 2);
    assert_each_stage_computed_once(&dir);
    assert_eq!(outcomes(&dir), outcomes(&bench.path("whole")));
}

#[test]
fn a_sweep_killed_with_all_its_runs_at_random_instants_ends_with_the_same_records() {
    let bench = Bench::new("SST-2");
    all_done(&bench, "whole", GRID);
    let dir = bench.path("killed");
    let mut kills = 0;
    loop {
        let mut child = start(&bench, "killed");
        std::thread::sleep(Duration::from_micros(20_000 + kills * 7919 % 90_000 + kills * 2000));
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            break;
        }
        kill_with_all_runs(child, &dir);
        kills += 1;
        assert!(kills < 500, "it comes to no end");
    }
    println!("{kills} kills of everything");
    assert!(kills > 5);
    assert_eq!(outcomes(&dir), outcomes(&bench.path("whole")));
    assert_no_temporary_file(&dir.join("stages"));
}

#[test]
fn a_run_that_others_kill_is_failed_and_one_that_they_stop_is_pending() {
    let bench = Bench::new("SST-2");
    for (sent, code, wanted) in [
        (libc::SIGKILL, 5, "its process was killed by signal 9"),
        (libc::SIGTERM, 4, "stopped by other processes with 1 of 2 runs left"),
    ] {
        let store = format!("sent-{sent}");
        let dir = bench.path(&store);
        let grid = ["--tasks", "sst2", "--seeds", "1,2", "--mode", "full", "--set", "train.epochs=20"];
        let mut child = sweep(&bench, &store, &grid)
            .args(["--set", "run.checkpoint_every=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(wait_until(&mut child, || has(&dir, "finetune", Some("checkpoint"))));
        let run = processes_of(&dir);
        assert_eq!(run.len(), 1);
        // SAFETY: kill(2) takes no pointers; the process has this test's own folder in its arguments.
        unsafe { libc::kill(run[0], sent) };
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(wanted), "{said}");
        assert_eq!(outcomes(&dir).len(), 1);
    }
}
