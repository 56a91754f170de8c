//! Trainings that are killed, stopped and damaged, and end as if nothing had happened.
#![cfg(unix)]

use std::{
    fs,
    path::PathBuf,
    process::{Child, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    fixture::{Bench, assert_no_temporary_file, files, stderr, succeeded},
    output::plain,
    processes::{has, signal, start, wait_until},
};

/// Long enough to be caught in the middle, with a checkpoint after every step.
const STEPWISE: &[&str] = &["--json", "--set", "train.epochs=12", "--set", "run.checkpoint_every=0"];
/// The same training without a checkpoint.
const WHOLE: &[&str] = &["--set", "train.epochs=12", "--set", "run.checkpoint_every=1e9"];

/// The run must have the scores and the weights of the one that was never interrupted.
fn assert_same_outcome(bench: &Bench, store: &str, record: &Value, whole: &Value) {
    for key in ["full", "pruned", "retrained", "ticket", "stages", "warnings"] {
        assert_eq!(record[key], whole[key], "{key}");
    }
    for stage in ["finetune", "retrain"] {
        for name in ["model.safetensors", "predictions.jsonl"] {
            let [left, right] = [(store, record), ("whole", whole)]
                .map(|(store, record)| bench.stage_file(store, record, stage, name));
            assert!(left == right, "{stage}: {name}");
        }
        let losses = |store, record| -> Value {
            let info: Value =
                serde_json::from_slice(&bench.stage_file(store, record, stage, "stage.json")).unwrap();
            info["epoch_losses"].clone()
        };
        assert_eq!(losses(store, record), losses("whole", whole), "{stage}");
    }
    assert_no_temporary_file(&bench.path(store).join("stages"));
}

fn end(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

fn again(bench: &Bench, store: &str) -> (Value, String) {
    let output = plain(bench, &bench.arguments(store, "sst2", STEPWISE)).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

/// The checkpoints of the store's unfinished stages.
fn checkpoints(bench: &Bench, store: &str) -> Vec<PathBuf> {
    let stages = bench.path(store).join("stages");
    let inside = |path: &PathBuf| path.parent().is_some_and(|p| p.ends_with("checkpoint"));
    files(&stages).into_iter().filter(inside).map(|path| stages.join(path)).collect()
}

/// A run that was sent SIGTERM in its fine-tuning, after its first checkpoint.
fn stopped(bench: &Bench, store: &str) -> Output {
    let mut child = start(bench, store, STEPWISE);
    assert!(wait_until(&mut child, || has(&bench.path(store), "finetune", Some("checkpoint"))));
    signal(&child, libc::SIGTERM);
    end(child)
}

#[test]
fn a_run_killed_at_dozens_of_instants_ends_as_if_it_had_not_been() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", WHOLE);
    let mut kills = 0;
    let record: Value = loop {
        let mut child = start(&bench, "killed", STEPWISE);
        // From before the first step to well behind it, in no order.
        std::thread::sleep(Duration::from_micros(20_000 + kills * 7919 % 120_000));
        if child.try_wait().unwrap().is_some() {
            let output = end(child);
            assert!(output.status.success(), "{}", stderr(&output));
            break serde_json::from_slice(&output.stdout).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        assert!(kills < 2000, "the run does not come forward");
    };
    assert!(kills >= 12, "killed {kills} times only");
    assert_same_outcome(&bench, "killed", &record, &whole);
}

#[test]
fn a_signal_ends_the_run_with_code_4_and_the_command_that_goes_on() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", WHOLE);
    let output = stopped(&bench, "stopped");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(output.stdout.is_empty());
    for wanted in
        ["stopped after step ", "of 240", "To go on: ", " run --task sst2 ", "run.checkpoint_every=0"]
    {
        assert!(said.contains(wanted), "{wanted:?} is not in {said}");
    }
    assert_eq!(checkpoints(&bench, "stopped").len(), 1);
    let (record, said) = again(&bench, "stopped");
    assert!(said.contains("goes on after step "), "{said}");
    assert_same_outcome(&bench, "stopped", &record, &whole);
    assert_eq!(checkpoints(&bench, "stopped").len(), 0);
}

#[test]
fn a_damaged_checkpoint_is_named_and_not_used() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", WHOLE);
    stopped(&bench, "damaged");
    let [path] = &checkpoints(&bench, "damaged")[..] else { panic!("one checkpoint is kept") };
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
    let (record, said) = again(&bench, "damaged");
    let name = path.file_name().unwrap().to_string_lossy();
    assert!(said.contains(&format!("{name} is damaged and is passed over")), "{said}");
    assert!(!said.contains("goes on after step"), "{said}");
    assert_same_outcome(&bench, "damaged", &record, &whole);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let bench = Bench::new("SST-2");
    let mut child = start(&bench, "runs", STEPWISE);
    assert!(wait_until(&mut child, || has(&bench.path("runs"), "finetune", Some("checkpoint"))));
    // Both are waiting when the process goes on, so no step can end between them.
    for number in [libc::SIGSTOP, libc::SIGTERM, libc::SIGINT, libc::SIGCONT] {
        signal(&child, number);
    }
    let code = end(child).status.code();
    assert!(code == Some(130) || code == Some(143), "{code:?}");
    assert_eq!(again(&bench, "runs").0["task"], "sst2");
}

#[test]
fn whoever_waits_for_another_process_can_be_stopped() {
    let bench = Bench::new("SST-2");
    let mut first = start(&bench, "runs", STEPWISE);
    assert!(wait_until(&mut first, || has(&bench.path("runs"), "finetune", None)));
    signal(&first, libc::SIGSTOP);
    let mut command = plain(&bench, &bench.arguments("runs", "sst2", STEPWISE));
    let second = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    signal(&second, libc::SIGINT);
    let output = end(second);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("stopped while another process computes finetune-"),
        "{}",
        stderr(&output)
    );
    signal(&first, libc::SIGCONT);
    assert!(end(first).status.success());
}

#[test]
fn the_pause_between_checkpoints_reaches_no_stage() {
    let bench = Bench::new("SST-2");
    let usual = bench.record("sst2", &["--mode", "full", "--set", "train.epochs=1"]);
    let stepwise = ["--mode", "full", "--set", "train.epochs=1", "--set", "run.checkpoint_every=0"];
    let output = succeeded(bench.run("sst2", &stepwise).arg("--json"));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["stages"], usual["stages"]);
}
