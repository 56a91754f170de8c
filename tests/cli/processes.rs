//! More than one process, and processes that are killed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    fixture::{Bench, assert_no_temporary_file, done_stages, printed, stderr},
    output::plain,
};

/// Training that takes long enough to be caught in the middle.
const LONGER: &[&str] = &["--json", "--set", "train.epochs=12"];

pub fn start(bench: &Bench, store: &str, arguments: &[&str]) -> Child {
    let mut command = plain(bench, &bench.arguments(store, "sst2", arguments));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Looks until `seen`; false when the process ends before.
pub fn wait_until(child: &mut Child, mut seen: impl FnMut() -> bool) -> bool {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if seen() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return seen();
        }
        assert!(Instant::now() < patience, "nothing happened");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What was said up to and with the line that has `wanted`.
pub fn read_until(lines: &mut impl BufRead, wanted: &str) -> String {
    let mut said = String::new();
    while !said.contains(wanted) {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{wanted:?} is not in {said}");
    }
    said
}

/// Whether a stage of this kind has been begun; with `file`, whether it has that file.
pub fn has(store: &Path, kind: &str, file: Option<&str>) -> bool {
    let stages = fs::read_dir(store.join("stages")).into_iter().flatten().flatten();
    stages
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(kind))
        .any(|entry| file.is_none_or(|file| entry.path().join(file).exists()))
}

#[test]
fn a_killed_run_is_completed_by_the_same_command_as_if_it_had_not_been_killed() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", &LONGER[1..]);
    let moments = [
        ("finetune", None),
        ("finetune", Some("predictions.jsonl")),
        ("finetune", Some("model.safetensors")),
        ("search", None),
        ("evaluate", None),
        ("retrain", None),
        ("retrain", Some("metrics.json")),
    ];
    for (nth, (kind, file)) in moments.into_iter().enumerate() {
        let store = format!("killed-{nth}");
        let dir = bench.path(&store);
        let mut child = start(&bench, &store, LONGER);
        assert!(wait_until(&mut child, || has(&dir, kind, file)), "{kind} was never seen");
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever counts as done is whole.
        let done = done_stages(&dir);

        let output = plain(&bench, &bench.arguments(&store, "sst2", LONGER)).output().unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{kind} {file:?}: {said}");
        assert_eq!(said.matches("found in the store").count(), done.len(), "{said}");
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["full", "pruned", "retrained", "ticket", "stages", "warnings"] {
            assert_eq!(record[key], whole[key], "{key} after a kill at {kind} {file:?}");
        }
        for stage in ["finetune", "retrain"] {
            let [left, right] = [(store.as_str(), &record), ("whole", &whole)]
                .map(|(store, record)| bench.stage_file(store, record, stage, "model.safetensors"));
            assert!(left == right, "{stage} after a kill at {kind} {file:?}");
        }
        assert_no_temporary_file(&dir.join("stages"));
    }
}

#[cfg(unix)]
#[test]
fn of_two_processes_on_one_store_one_waits_and_every_stage_is_computed_once() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    let mut first = start(&bench, "runs", LONGER);
    assert!(wait_until(&mut first, || has(&store, "finetune", None)));
    // Held still, so that the second must come to wait however fast the machine is.
    signal(&first, libc::SIGSTOP);
    let mut second = start(&bench, "runs", LONGER);
    let mut lines = BufReader::new(second.stderr.take().unwrap());
    let mut said_by_second = read_until(&mut lines, "waiting for another process that is computing it");
    signal(&first, libc::SIGCONT);
    lines.read_to_string(&mut said_by_second).unwrap();

    let [first, second] = [first, second].map(|child| child.wait_with_output().unwrap());
    assert!(first.status.success() && second.status.success());
    // Stages of the same record, each with a line by whoever computed it.
    let [one, two] = [&first, &second].map(|output| serde_json::from_slice::<Value>(&output.stdout).unwrap());
    assert_eq!(one, two);
    let said = stderr(&first) + &said_by_second;
    for (kind, id) in one["stages"].as_object().unwrap() {
        let id = id.as_str().unwrap();
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with(&format!("{id}: "))).collect();
        let found = lines.iter().filter(|line| line.contains("found in the store")).count();
        let waited = lines.iter().filter(|line| line.contains("waiting")).count();
        assert_eq!((found, lines.len() - found - waited), (1, 1), "{kind}: {lines:?}");
    }
    assert_eq!(done_stages(&store).len(), 4);
}

/// What the command does when its terminal is gone: the tests themselves may run under `nohup`.
#[cfg(unix)]
pub fn hearing_of_hang_ups(command: &mut Command, hearing: bool) -> &mut Command {
    let disposition = if hearing { libc::SIG_DFL } else { libc::SIG_IGN };
    // SAFETY: signal() may be called between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, move || {
            libc::signal(libc::SIGHUP, disposition);
            Ok(())
        })
    }
}

#[cfg(unix)]
pub fn signal(child: &Child, signal: i32) {
    // SAFETY: kill(2) takes no pointers, and the child has not been waited for, so its id is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn whoever_waits_for_a_killed_process_computes_in_its_place() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    let mut first = start(&bench, "runs", LONGER);
    assert!(wait_until(&mut first, || has(&store, "finetune", None)));
    let second = start(&bench, "runs", LONGER);
    first.kill().unwrap();
    first.wait().unwrap();
    let output = second.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(done_stages(&store).len(), 4);
}

#[test]
fn different_seeds_run_side_by_side_in_one_store() {
    let bench = Bench::new("SST-2");
    let seeds = ["1337", "42", "86"];
    let children = seeds.map(|seed| start(&bench, "runs", &["--json", "--seed", seed]));
    let records = children.map(|child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        printed(&output)
    });
    for (seed, record) in seeds.iter().zip(&records) {
        assert_eq!(record["seed"].to_string(), *seed);
        assert_eq!(bench.stored_record("runs", record), *record);
    }
    assert_eq!(done_stages(&bench.path("runs")).len(), 12);
    // Three seeds are three classifiers, three orders and three sets of dropout masks.
    assert_ne!(records[0]["stages"]["finetune"], records[1]["stages"]["finetune"]);
}
