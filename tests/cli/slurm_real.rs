//! Sweeps on a real Slurm of one node with two CPUs: `scripts/slurm-test.sh` starts it and names its folder in
//! `LOTTERY_TEST_SLURM`; elsewhere each test says that it was skipped. One after the other: they share the node.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    fixture::{Bench, files, stderr},
    output::plain,
    sweep::{all_done, assert_each_stage_computed_once, logs, outcomes, sweep},
    sweep_kills::{processes_of, signal_all},
};

/// Needs quoting in shells, in sbatch's lines and in Slurm's patterns.
const STORE: &str = "a \"b\" 'c' $d 100%";

fn cluster(test: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("LOTTERY_TEST_SLURM").map(PathBuf::from);
    if dir.is_none() {
        let word =
            format!("skipped: {test}: LOTTERY_TEST_SLURM is not set (scripts/slurm-test.sh sets it)\n");
        std::io::stderr().write_all(word.as_bytes()).unwrap();
    }
    dir
}

/// Looks four times a second.
fn wait_for(seconds: u64, what: &str, mut seen: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(seconds);
    while !seen() {
        assert!(Instant::now() < patience, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn submit(bench: &Bench, arguments: &[&str]) {
    let output = sweep(bench, STORE, &[arguments, &["--executor", "slurm"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// What `lottery status` tells of the only sweep.
fn status(bench: &Bench) -> Value {
    let words = ["status", "--json", "--store", STORE].map(str::to_owned);
    let output = plain(bench, &words).output().unwrap();
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
    document["sweeps"][0].clone()
}

fn runs_that_are(sweep: &Value, status: &str) -> usize {
    sweep["runs"].as_array().unwrap().iter().filter(|run| run["status"] == status).count()
}

fn elements(sweep: &Value) -> (u64, u64) {
    let of = |what: &str| sweep["slurm"][what].as_u64().expect("squeue answers");
    (of("queued"), of("running"))
}

/// Waits until all runs are done and the queue is empty; how often each run was begun.
fn wait_for_all(bench: &Bench, seconds: u64, runs: usize) -> Vec<u64> {
    wait_for(seconds, "all done", || {
        let sweep = status(bench);
        assert_eq!(runs_that_are(&sweep, "failed"), 0, "{sweep} {}", logs(&bench.path(STORE)));
        runs_that_are(&sweep, "done") == runs && elements(&sweep) == (0, 0)
    });
    let sweep = status(bench);
    sweep["runs"].as_array().unwrap().iter().map(|run| run["attempts"].as_u64().unwrap()).collect()
}

/// What the elements said, of all submissions.
fn said(bench: &Bench) -> String {
    let sweeps = bench.path(STORE).join("sweeps");
    let logs = files(&sweeps).into_iter().filter(|path| path.to_string_lossy().contains("/slurm/"));
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.map(|path| fs::read_to_string(sweeps.join(path)).unwrap()).collect()
}

/// The array of the last submission.
fn job(bench: &Bench) -> String {
    status(bench)["slurm"]["jobs"].as_array().unwrap().last().unwrap().to_string()
}

/// Runs that take about so long on this machine.
fn lasting(bench: &Bench, seconds: f64) -> Vec<String> {
    const EPOCHS: f64 = 100.0;
    let epochs = format!("train.epochs={EPOCHS}");
    // The fastest of three: what else the machine does may end at any moment, and the runs would be too short.
    let taken = ["measured", "again", "at last"].map(|store| {
        let record = bench.record_in(store, "sst2", &["--mode", "full", "--set", &epochs]);
        record["timing"]["finetune_s"].as_f64().unwrap()
    });
    let taken = taken.into_iter().fold(f64::INFINITY, f64::min);
    let epochs = format!("train.epochs={}", (EPOCHS * seconds / taken).ceil());
    ["--tasks", "sst2", "--modes", "full", "--set", "run.checkpoint_every=1", "--set", &epochs]
        .map(str::to_owned)
        .to_vec()
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// The same grid without Slurm, at the same time.
fn start_locally(bench: &Bench, grid: &[&str]) -> Child {
    sweep(bench, "local", grid).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn wait_for_equal_outcomes(bench: &Bench, mut locally: Child) {
    assert!(locally.wait().unwrap().success());
    let expected: BTreeMap<String, Value> = outcomes(&bench.path("local"));
    assert_eq!(outcomes(&bench.path(STORE)), expected);
}

fn checkpoints(store: &Path) -> usize {
    let stages = fs::read_dir(store.join("stages")).into_iter().flatten().flatten();
    // One that is being written has another name, and a process that dies then has none.
    let whole = |path: &PathBuf| path.to_string_lossy().starts_with("step-");
    stages.filter(|stage| files(&stage.path().join("checkpoint")).iter().any(whole)).count()
}

#[test]
fn an_array_of_workers_does_each_run_once_with_the_records_of_a_local_sweep() {
    if cluster("an_array_of_workers_does_each_run_once").is_none() {
        return;
    }
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "sst2", "--modes", "good,bad,random,full", "--seeds", "1,2,3"];
    let setup = [
        "--gpus-per-task",
        "1",
        "--setup",
        "echo \"card $CUDA_VISIBLE_DEVICES\"",
        "--sbatch-arg",
        "--comment=a \"b\" # c",
    ];
    submit(&bench, &[&grid[..], &setup, &["--workers", "2"]].concat());
    assert_eq!(wait_for_all(&bench, 60, 12), [1; 12]);
    let said = said(&bench);
    assert!(said.contains("card 0") && said.contains("card 1"), "{said}");
    assert_eq!(said.matches("ends with exit code 0").count(), 2, "{said}");
    assert_each_stage_computed_once(&bench.path(STORE));
    all_done(&bench, "local", &grid);
    assert_eq!(outcomes(&bench.path(STORE)), outcomes(&bench.path("local")));
    assert_eq!(status(&bench)["slurm"]["elements"], 2);
}

#[test]
fn an_element_without_its_gpu_says_so_and_begins_nothing() {
    if cluster("an_element_without_its_gpu_says_so").is_none() {
        return;
    }
    let bench = Bench::new("SST-2");
    let lost = ["--gres", "gpu:1", "--setup", "unset CUDA_VISIBLE_DEVICES"];
    submit(&bench, &[&["--tasks", "sst2", "--seeds", "1"][..], &lost].concat());
    wait_for(30, "an empty queue", || elements(&status(&bench)) == (0, 0));
    let said = said(&bench);
    assert!(said.contains("--gres=gpu:1") && said.contains("gres.conf"), "{said}");
    assert_eq!(runs_that_are(&status(&bench), "pending"), 1);
}

#[test]
fn an_element_at_its_time_limit_is_told_goes_back_into_the_queue_and_goes_on() {
    if cluster("an_element_at_its_time_limit_goes_on").is_none() {
        return;
    }
    let bench = Bench::new("SST-2");
    let dir = bench.path(STORE);
    let grid = lasting(&bench, 12.0);
    let grid = [&words(&grid)[..], &["--seeds", "1"]].concat();
    let locally = start_locally(&bench, &grid);
    submit(&bench, &[&grid[..], &["--time", "00:01:00", "--stop-before", "25"]].concat());
    wait_for(30, "a checkpoint", || checkpoints(&dir) == 1);
    // Slurm looks every 30 seconds: it tells between the 5th and the 35th. However fast the machine is, the run does not end
    // before that.
    signal_all(&dir, libc::SIGSTOP);
    std::thread::sleep(Duration::from_secs(37));
    signal_all(&dir, libc::SIGCONT);
    let attempts = wait_for_all(&bench, 240, 1);
    let said = said(&bench);
    assert!(said.contains("at the time limit: requeued"), "{said}");
    assert!(said.contains("starts (attempt 2)"), "{said}");
    assert_eq!(attempts[0] as usize, said.matches(": starts").count(), "{said}");
    assert!(logs(&bench.path(STORE)).contains("resuming after step"));
    assert_each_stage_computed_once(&bench.path(STORE));
    wait_for_equal_outcomes(&bench, locally);
}

#[test]
fn an_element_that_somebody_puts_back_into_the_queue_goes_on_once() {
    if cluster("an_element_that_somebody_puts_back_goes_on").is_none() {
        return;
    }
    let bench = Bench::new("SST-2");
    let grid = lasting(&bench, 12.0);
    let grid = [&words(&grid)[..], &["--seeds", "1"]].concat();
    let locally = start_locally(&bench, &grid);
    submit(&bench, &grid);
    wait_for(30, "a checkpoint", || checkpoints(&bench.path(STORE)) == 1);
    let requeue = Command::new("scontrol").args(["requeue", &format!("{}_0", job(&bench))]).status().unwrap();
    assert!(requeue.success());
    assert_eq!(wait_for_all(&bench, 90, 1), [2]);
    let said = said(&bench);
    // By Slurm, and not once more by the element.
    assert!(said.contains("starts (attempt 2)") && !said.contains("requeued"), "{said}");
    assert!(logs(&bench.path(STORE)).contains("resuming after step"));
    assert_each_stage_computed_once(&bench.path(STORE));
    wait_for_equal_outcomes(&bench, locally);
}

#[test]
fn a_cancelled_sweep_leaves_no_element_no_process_and_no_half_record() {
    if cluster("a_cancelled_sweep_leaves_nothing").is_none() {
        return;
    }
    let bench = Bench::new("SST-2");
    let dir = bench.path(STORE);
    let grid = lasting(&bench, 300.0);
    let grid = [&words(&grid)[..], &["--seeds", "1,2,3"]].concat();
    // By Slurm's own command, and where that cannot be found by the file in the store alone.
    for (n, path) in [std::env::var("PATH").unwrap(), "/nowhere".to_owned()].iter().enumerate() {
        submit(&bench, &[&grid[..], &["--throttle", "2"]].concat());
        wait_for(30, "two elements that run", || {
            let sweep = status(&bench);
            elements(&sweep) == (1, 2) && runs_that_are(&sweep, "running") == 2
        });
        let words = ["sweep", "cancel", "--store", STORE].map(str::to_owned);
        let output = plain(&bench, &words).env("PATH", path).output().unwrap();
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(told.contains("1 element queued, 2 running"), n == 0, "{told}");
        wait_for(40, "an empty queue", || elements(&status(&bench)) == (0, 0));
        wait_for(10, "the end of all processes", || processes_of(&dir).is_empty());
        let said = said(&bench);
        assert!(!said.contains("requeued"), "{said}");
        assert_eq!(said.matches("the sweep was cancelled").count(), n, "{said}");
        assert_eq!(runs_that_are(&status(&bench), "pending"), 3);
        assert_eq!(outcomes(&dir).len(), 0);
    }
}

#[test]
fn a_node_that_dies_with_all_its_processes_and_comes_back_finishes_the_sweep() {
    let Some(slurm) = cluster("a_node_that_dies_finishes_the_sweep") else { return };
    let bench = Bench::new("SST-2");
    let dir = bench.path(STORE);
    let grid = lasting(&bench, 25.0);
    let grid = [&words(&grid)[..], &["--seeds", "1,2"]].concat();
    let node = |what: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/slurm.sh");
        assert!(Command::new(script).arg(what).arg(&slurm).status().unwrap().success());
    };
    submit(&bench, &grid);
    let began = Instant::now();
    wait_for(30, "two checkpoints", || checkpoints(&dir) == 2);
    // However fast the machine is, no run ends before the node does.
    signal_all(&dir, libc::SIGSTOP);
    // Meanwhile the machine has nothing else to do.
    let locally = start_locally(&bench, &[&grid[..], &["--jobs", "2"]].concat());
    // A job that began seconds ago Slurm does not miss yet.
    wait_for(15, "jobs of some age", || began.elapsed() > Duration::from_secs(11));
    let sweep = status(&bench);
    assert_eq!(runs_that_are(&sweep, "running"), 2, "{sweep}");
    node("crash");
    // A process that ends has no command line for some time before it lets its locks go.
    wait_for(10, "two runs that nobody does", || {
        processes_of(&dir).is_empty() && runs_that_are(&status(&bench), "pending") == 2
    });
    node("revive");
    assert_eq!(wait_for_all(&bench, 120, 2), [2, 2]);
    assert!(said(&bench).contains("starts (attempt 2)"));
    assert_eq!(logs(&dir).matches("resuming after step").count(), 2);
    assert_each_stage_computed_once(&dir);
    wait_for_equal_outcomes(&bench, locally);
}
