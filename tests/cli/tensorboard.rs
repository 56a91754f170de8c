//! `--tensorboard DIR`: event files as TensorBoard reads them; `scripts/check-tensorboard.sh` asks TensorBoard itself.
#![cfg(target_os = "linux")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lottery::events::tensorboard::record;
use serde_json::Value;

use crate::{
    events::{event_files, lines},
    fixture::{Bench, json_file, refused, stderr},
    output::plain,
    processes::{start, wait_until},
    sweep::{all_done, runs},
};

/// (step, value) of every tag of the event files of a folder, in the order of the files.
type Points = BTreeMap<String, Vec<(i64, f32)>>;

fn board_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Checksums are compared, and every file must be readable to its end.
fn points(dir: &Path) -> Points {
    let mut points = Points::new();
    for file in board_files(dir) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("events.out.tfevents."), "{name}");
        let bytes = fs::read(&file).unwrap();
        let events = record::events(&bytes);
        assert_eq!(
            events.iter().map(|event| record::framed(event).len()).sum::<usize>(),
            bytes.len(),
            "{name}"
        );
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert!(events.is_sorted_by(|a, b| a.wall_time <= b.wall_time));
        for event in &events[1..] {
            for value in &event.summary.as_ref().unwrap().value {
                let point = (event.step, value.simple_value.unwrap());
                points.entry(value.tag.clone()).or_default().push(point);
            }
        }
    }
    points
}

/// The folder of the only run below this one.
fn folder(dir: &Path) -> PathBuf {
    let [one] = &board_files(dir)[..] else { panic!("one run is expected") };
    one.clone()
}

fn run(bench: &Bench, store: &str, arguments: &[&str]) -> Value {
    bench.record_in(store, "sst2", &[&["--tensorboard", &format!("{store}-board")], arguments].concat())
}

fn board(bench: &Bench, store: &str) -> PathBuf {
    folder(&bench.path(&format!("{store}-board")))
}

#[test]
fn scalars_are_those_of_the_events_and_cost_no_outcome_a_bit() {
    let bench = Bench::new("SST-2");
    let without = bench.record_in("plain", "sst2", &[]);
    let record = run(&bench, "runs", &[]);
    for key in ["full", "pruned", "retrained", "ticket", "stages"] {
        assert_eq!(record[key], without[key], "{key}");
    }
    for stage in ["finetune", "retrain"] {
        let weights =
            ["plain", "runs"].map(|store| bench.stage_file(store, &record, stage, "model.safetensors"));
        assert!(weights[0] == weights[1], "{stage}");
    }
    let board = board(&bench, "runs");
    assert_eq!(board.file_name(), event_files(&bench.path("runs"))[0].file_stem());
    let points = points(&board);
    let mut expected = Points::new();
    let mut expect = |tag: String, step: &Value, value: f64| {
        expected.entry(tag).or_default().push((step.as_i64().unwrap(), value as f32));
    };
    for line in lines(&bench.path("runs")) {
        let number = |key: &str| line[key].as_f64().unwrap();
        match line["event"].as_str().unwrap() {
            "step" => {
                let retrains = line["stage"].as_str().unwrap().starts_with("retrain");
                for key in ["loss", "learning_rate", "gradient_norm", "tokens_per_s"] {
                    let group = if retrains { "retrain" } else { "train" };
                    expect(format!("{group}/{key}"), &line["step"], number(key));
                }
            }
            "search_pass" => {
                for key in ["score", "heads_kept", "ffns_kept"] {
                    expect(format!("search/{key}"), &line["pass"], number(key));
                }
            }
            _ => {}
        }
    }
    for (step, model) in ["full", "pruned", "retrained"].into_iter().enumerate() {
        for (metric, score) in record[model]["metrics"].as_object().unwrap() {
            expect(format!("eval/{metric}"), &step.into(), score.as_f64().unwrap());
        }
    }
    assert_eq!(points, expected);
    assert_eq!(points["train/loss"].len(), 60);
}

/// Once with a checkpoint after every step, once with none, so that the second process takes all steps again.
#[test]
fn a_killed_and_resumed_run_has_every_point_once_as_if_it_had_not_been_killed() {
    let bench = Bench::new("SST-2");
    let long = |every: &'static str| ["--set", "train.epochs=12", "--set", every];
    run(&bench, "whole", &long("run.checkpoint_every=1e9"));
    let lasting = |store: &str| {
        let mut points = points(&board(&bench, store));
        points.retain(|tag, _| !tag.ends_with("tokens_per_s"));
        points
    };
    for (store, every) in [("steps", "run.checkpoint_every=0"), ("none", "run.checkpoint_every=1e9")] {
        let dir = format!("{store}-board");
        let arguments = [&["--json", "--tensorboard", &dir][..], &long(every)].concat();
        let mut child = start(&bench, store, &arguments);
        let many = || {
            board_files(&bench.path(&dir)).first().is_some_and(|run| {
                board_files(run).first().is_some_and(|file| fs::metadata(file).unwrap().len() > 5_000)
            })
        };
        assert!(wait_until(&mut child, || bench.path(&dir).exists() && many()));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = plain(&bench, &bench.arguments(store, "sst2", &arguments)).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(board_files(&board(&bench, store)).len(), 2);
        assert!(lasting(store) == lasting("whole"), "{store}");
        // A third process computes nothing, and says nothing that is not there.
        let output = plain(&bench, &bench.arguments(store, "sst2", &arguments)).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(board_files(&board(&bench, store)).len(), 3);
        assert!(lasting(store) == lasting("whole"), "{store}");
    }
}

#[test]
fn a_sweep_has_a_folder_and_a_file_of_events_for_each_run_under_the_run_s_name() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "sst2", "--modes", "good,bad,full", "--tensorboard", "board"];
    let document = all_done(&bench, "runs", &grid);
    let names: BTreeSet<String> =
        runs(&document).iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    let last = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    assert_eq!(names.len(), 3);
    assert_eq!(board_files(&bench.path("board")).iter().map(last).collect::<BTreeSet<_>>(), names);
    assert_eq!(event_files(&bench.path("runs")).iter().map(last).collect::<BTreeSet<_>>(), names);
    for run in runs(&document) {
        let points = points(&bench.path("board").join(run["run"].as_str().unwrap()));
        let record = json_file(Path::new(run["record"].as_str().unwrap()));
        let eval = |model: &str| record[model]["metrics"]["accuracy"].as_f64().unwrap() as f32;
        // Who finds a model in the store tells its score too.
        let scores = [(0, eval("full")), (1, eval("pruned")), (2, eval("retrained"))];
        assert_eq!(points["eval/accuracy"], scores, "{}", run["run"]);
        assert_eq!(points.contains_key("retrain/loss"), run["config"]["mode"] != "full");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_computed() {
    let bench = Bench::new("SST-2");
    bench.write("file", "");
    let mut command = bench.run("sst2", &["--tensorboard", "file/below"]);
    refused(&mut command, 3, &["file/below", "--tensorboard"]);
    crate::fixture::assert_nothing_half_written(&bench.path("runs"));
}

/// TensorBoard's own reader, where the script that installs it has been run.
#[test]
fn tensorboard_reads_the_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join("target/tensorboard/bin/python").exists() {
        println!(
            "skipped: tensorboard_reads_the_files, scripts/check-tensorboard.sh has not installed TensorBoard"
        );
        return;
    }
    let bench = Bench::new("SST-2");
    run(&bench, "runs", &[]);
    run(&bench, "runs", &["--mode", "bad"]);
    let script = root.join("scripts/check-tensorboard.sh");
    let check = || Command::new(&script).arg(bench.path("runs-board")).output().unwrap();
    let output = check();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", stderr(&output));
    assert!(said.contains("sst2-heads+ffns-bad-1337-") && said.contains("retrain/loss: 60 points"), "{said}");
    // And it would say so if it could not.
    let file = &board_files(&board_files(&bench.path("runs-board"))[0])[0];
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
    assert_eq!(check().status.code(), Some(1));
}
