//! Trainings that are killed, stopped and damaged, and end as if nothing had happened.
#![cfg(unix)]

use std::{
    fs,
    io::{BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Output, Stdio},
    time::Duration,
};

use lottery::store::Lock;
use serde_json::Value;

use crate::{
    fixture::{Bench, assert_no_temporary_file, files, stderr, succeeded},
    output::plain,
    processes::{has, hearing_of_hang_ups, read_until, signal, start, wait_until},
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
    ends_as_if_it_had_not_been_sent(libc::SIGKILL, &["--set", "train.select=best-epoch"]);
}

#[test]
fn a_run_stopped_at_dozens_of_instants_ends_as_if_it_had_not_been() {
    ends_as_if_it_had_not_been_sent(libc::SIGTERM, &[]);
}

fn ends_as_if_it_had_not_been_sent(sent: i32, settings: &[&str]) {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", &[WHOLE, settings].concat());
    let (mut times, mut went_on) = (0, 0);
    let record: Value = loop {
        let mut child = start(&bench, "sent", &[STEPWISE, settings].concat());
        // From before the first step to well behind it, in no order; longer and longer where the machine is slow.
        std::thread::sleep(Duration::from_micros(20_000 + times * 7919 % 120_000 + times * 500));
        if child.try_wait().unwrap().is_none() {
            signal(&child, sent);
        }
        let output = end(child);
        let said = stderr(&output);
        went_on += said.matches("resuming after step ").count();
        if output.status.success() {
            break serde_json::from_slice(&output.stdout).unwrap();
        }
        // Before it listens SIGTERM ends it as any process.
        assert!(output.status.code() == Some(4) || output.status.signal() == Some(sent), "{said}");
        times += 1;
    };
    println!("sent signal {sent} {times} times, went on {went_on} times");
    assert!(times >= 12 && went_on >= 12, "sent {times} times, went on {went_on} times");
    assert_same_outcome(&bench, "sent", &record, &whole);
}

#[test]
fn a_signal_ends_the_run_with_code_4_and_the_command_that_goes_on() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", WHOLE);
    let output = stopped(&bench, "stopped");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["error"]["exit_code"], 4, "{told}");
    for wanted in
        ["stopped after step ", "of 240", "To resume: ", " run --task sst2 ", "run.checkpoint_every=0"]
    {
        assert!(said.contains(wanted), "{wanted:?} is not in {said}");
    }
    assert_eq!(checkpoints(&bench, "stopped").len(), 1);
    let (record, said) = again(&bench, "stopped");
    assert!(said.contains("resuming after step "), "{said}");
    assert_same_outcome(&bench, "stopped", &record, &whole);
    assert_eq!(checkpoints(&bench, "stopped").len(), 0);
}

#[test]
fn a_run_whose_terminal_is_gone_stops_unless_that_is_ignored() {
    let bench = Bench::new("SST-2");
    for (store, heard, code) in [("heard", true, 4), ("nohup", false, 0)] {
        let mut command = plain(&bench, &bench.arguments(store, "sst2", STEPWISE));
        hearing_of_hang_ups(&mut command, heard);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(wait_until(&mut child, || has(&bench.path(store), "finetune", Some("checkpoint"))));
        signal(&child, libc::SIGHUP);
        let output = end(child);
        assert_eq!(output.status.code(), Some(code), "{store}: {}", stderr(&output));
    }
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
    assert!(said.contains(&format!("{name} is damaged and is ignored")), "{said}");
    assert!(!said.contains("resuming after step"), "{said}");
    assert_same_outcome(&bench, "damaged", &record, &whole);
}

#[test]
fn two_signals_at_once_are_one_and_a_later_one_ends_the_process() {
    let bench = Bench::new("SST-2");
    bench.record("sst2", &STEPWISE[1..]);
    // A run that is done but for its record waits for whoever writes one.
    let mut lock = Lock::at(&bench.path("runs/locks/records")).unwrap();
    let held = lock.take().unwrap().expect("nobody writes a record");
    let mut child = start(&bench, "runs", STEPWISE);
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    // What a run says last before it writes its record; the retrained stage is found after this one.
    read_until(&mut lines, "retrain-");
    signal(&child, libc::SIGTERM);
    signal(&child, libc::SIGINT);
    read_until(&mut lines, "another signal stops it at once");
    assert!(child.try_wait().unwrap().is_none(), "two signals at once ended the process");
    signal(&child, libc::SIGTERM);
    assert_eq!(end(child).status.code(), Some(143));
    drop(held);

    // One signal while the data are read: nothing is begun. There are enough of them to be caught at it.
    let text = fs::read_to_string(bench.path("glue/SST-2/train.tsv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    bench.write("glue/SST-2/train.tsv", format!("{header}\n{}", rows.repeat(500)));
    let mut child = start(&bench, "empty", STEPWISE);
    // The store is opened after the handlers are there.
    assert!(wait_until(&mut child, || bench.path("empty/results").exists()));
    signal(&child, libc::SIGTERM);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(end(child).status.code(), Some(4), "{said}");
    assert!(said.contains("stopped before finetune-"), "{said}");
}

#[test]
fn whoever_waits_for_another_process_can_be_stopped() {
    let bench = Bench::new("SST-2");
    let mut first = start(&bench, "runs", STEPWISE);
    assert!(wait_until(&mut first, || has(&bench.path("runs"), "finetune", None)));
    signal(&first, libc::SIGSTOP);
    let mut second = start(&bench, "runs", STEPWISE);
    let mut lines = BufReader::new(second.stderr.take().unwrap());
    let mut said = read_until(&mut lines, "waiting for another process that is computing it");
    signal(&second, libc::SIGINT);
    lines.read_to_string(&mut said).unwrap();
    let code = end(second).status.code();
    signal(&first, libc::SIGCONT);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("stopped while another process computes finetune-"), "{said}");
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
