//! `events/<run>.jsonl`: what runs write there, whatever becomes of them.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufReader, Read},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    fixture::{Bench, files, json_file, refused, stderr, succeeded},
    gc::gc,
    output::plain,
    processes::{read_until, signal, start, wait_until},
    validator::Validator,
};

/// A training that is long enough to be caught in the middle.
const LONGER: &[&str] = &["--json", "--set", "train.epochs=12"];

fn schema() -> Value {
    json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/event.schema.json"))
}

fn validator() -> Validator {
    Validator::new(schema())
}

/// The files of a store's runs.
pub fn event_files(store: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(store.join("events")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// The lines of the store's only run.
pub fn lines(store: &Path) -> Vec<Value> {
    let [path] = &event_files(store)[..] else { panic!("one run is expected") };
    lines_of(path)
}

/// The lines of a file. Each must be valid, and have just the fields that the schema describes.
fn lines_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let (schema, validator) = (schema(), validator());
    for line in &lines {
        assert_eq!(validator.violations(line), [], "{line}");
        let own = described(&schema, line);
        let unknown: Vec<_> = line.as_object().unwrap().keys().filter(|key| !own.contains(*key)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of {line}");
    }
    lines
}

/// The fields of this kind of event, and those of all.
fn described(schema: &Value, line: &Value) -> BTreeSet<String> {
    let kind = kind(line);
    let plain = ["stage_begins", "stage_found", "stage_waits"].contains(&kind);
    assert!(plain || schema["$defs"][kind].is_object(), "{kind} is not described");
    let names = |at: &Value| {
        at["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let (all, own): (BTreeSet<_>, BTreeSet<_>) = (names(schema), names(&schema["$defs"][kind]));
    &all | &own
}

fn kind(line: &Value) -> &str {
    line["event"].as_str().unwrap()
}

fn of<'a>(lines: &'a [Value], wanted: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| kind(line) == wanted)
}

fn stage(line: &Value) -> &str {
    line["stage"].as_str().unwrap_or_default()
}

/// The kind of every event, each row of equal ones once.
fn story(lines: &[Value]) -> Vec<String> {
    let mut told: Vec<String> = lines
        .iter()
        .filter(|line| kind(line) != "epoch_ends")
        .map(|line| match kind(line) {
            event if event.starts_with("stage") => {
                format!("{event} {}", stage(line).rsplit_once('-').unwrap().0)
            }
            event => event.to_owned(),
        })
        .collect();
    told.dedup();
    told
}

#[test]
fn the_lines_of_a_run_say_what_its_record_and_its_stages_say() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let store = bench.path("runs");
    let first = lines(&store);
    let told = [
        "run_begins",
        "stage_begins finetune",
        "step",
        "stage_ends finetune",
        "scores",
        "stage_begins search",
        "search_pass",
        "stage_ends search",
        "stage_begins evaluate",
        "stage_ends evaluate",
        "scores",
        "stage_begins retrain",
        "step",
        "stage_ends retrain",
        "scores",
        "record_written",
        "warning",
    ];
    assert_eq!(story(&first), told);
    assert_eq!(first[0]["config"], record["config"]);
    let name = event_files(&store)[0].file_stem().unwrap().to_string_lossy().into_owned();
    assert_eq!(first[0]["run"], name);
    assert!(name.starts_with("sst2-heads+ffns-good-1337-"), "{name}");
    let written = of(&first, "record_written").next().unwrap()["path"].as_str().unwrap();
    assert_eq!(json_file(Path::new(written)), record);
    for (scores, model) in of(&first, "scores").zip(["full", "pruned", "retrained"]) {
        assert_eq!((&scores["model"], &scores["metrics"]), (&model.into(), &record[model]["metrics"]));
    }
    let warnings: Vec<_> = of(&first, "warning").map(|line| line["text"].clone()).collect();
    assert_eq!(json!(warnings), record["warnings"]);

    for part in ["finetune", "retrain"] {
        let id = record["stages"][part].as_str().unwrap();
        let here: Vec<Value> = first.iter().filter(|line| stage(line) == id).cloned().collect();
        let info: Value =
            serde_json::from_slice(&bench.stage_file("runs", &record, part, "stage.json")).unwrap();
        let steps: Vec<u64> = of(&here, "step").map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, (1..=60).collect::<Vec<_>>());
        assert!(of(&here, "step").all(|line| line["total"] == 60));
        let losses: Vec<_> = of(&here, "epoch_ends").map(|line| line["loss"].clone()).collect();
        assert_eq!(json!(losses), info["epoch_losses"]);
        // The mean over an epoch of equal batches is that of its steps.
        let epoch =
            of(&here, "step").filter(|line| line["epoch"] == 2).map(|line| line["loss"].as_f64().unwrap());
        let mean = epoch.sum::<f64>() / 20.0;
        assert!((mean - losses[1].as_f64().unwrap()).abs() < 1e-9);
        let last = of(&here, "step").last().unwrap();
        let rate = info["train_tokens_per_s"].as_f64().unwrap();
        assert!((last["tokens_per_s"].as_f64().unwrap() / rate - 1.0).abs() < 0.5);
        let ends = of(&here, "stage_ends").next().unwrap();
        assert_eq!(ends["seconds"], info["seconds"]);
        assert_eq!(ends["metrics"], record[["full", "retrained"][usize::from(part == "retrain")]]["metrics"]);
    }
    let ticket: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "search", "ticket.json")).unwrap();
    let passes: Vec<&Value> = of(&first, "search_pass").collect();
    assert_eq!((&passes[0]["score"], &passes[0]["phase"]), (&ticket["full_score"], &"full".into()));
    assert_eq!((&passes[0]["heads_kept"], &passes[0]["ffns_kept"]), (&8.into(), &2.into()));
    let steps = ticket["steps"].as_array().unwrap();
    assert_eq!(passes.len(), 1 + steps.len());
    for (pass, step) in passes[1..].iter().zip(steps) {
        for key in ["phase", "accepted", "score", "pruned_heads", "pruned_ffns"] {
            assert_eq!(pass[key], step[key], "{key}");
        }
        let reached = pass["score"].as_f64() >= pass["threshold"].as_f64();
        assert_eq!(pass["accepted"], reached);
    }

    // The same once more: another process, which finds everything.
    bench.record("sst2", &[]);
    let both = lines(&store);
    assert_eq!(both[..first.len()], first);
    let second = &both[first.len()..];
    assert!(
        second
            .iter()
            .all(|line| line["pid"] != first[0]["pid"] && line["time"].as_f64() >= first[0]["time"].as_f64())
    );
    let told = [
        "run_begins",
        "stage_found finetune",
        "scores",
        "stage_found search",
        "stage_found evaluate",
        "scores",
        "stage_found retrain",
        "scores",
        "record_written",
        "warning",
    ];
    assert_eq!(story(second), told);
}

#[test]
fn a_killed_run_goes_on_behind_its_lines_and_behind_one_that_was_cut() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    let stepwise = [LONGER, &["--set", "run.checkpoint_every=0"]].concat();
    let mut child = start(&bench, "runs", &stepwise);
    // The fourth step has its checkpoint then.
    let fifth = || {
        let text = event_files(&store).first().map(|path| fs::read_to_string(path).unwrap_or_default());
        text.is_some_and(|text| text.contains(r#""step":5,"#))
    };
    assert!(wait_until(&mut child, fifth));
    child.kill().unwrap();
    child.wait().unwrap();
    let before = lines(&store);
    let path = &event_files(&store)[0];
    let text = fs::read_to_string(path).unwrap();
    // As a full disk would leave it.
    let cut = r#"{"time":1.0,"host":"x","ev"#;
    fs::write(path, format!("{text}{cut}")).unwrap();

    let output = plain(&bench, &bench.arguments("runs", "sst2", &stepwise)).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().filter(|line| *line == cut).count(), 1);
    fs::write(path, text.replace(&format!("{cut}\n"), "")).unwrap();
    let all = lines(&store);
    let after = &all[before.len()..];
    assert_eq!(all[..before.len()], before);
    let pids =
        |lines: &[Value]| lines.iter().map(|line| line["pid"].as_u64().unwrap()).collect::<BTreeSet<_>>();
    assert!(pids(&before).len() == 1 && pids(after).len() == 1 && pids(&all).len() == 2);

    let resumed = of(after, "stage_resumes").next().expect("it went on from a checkpoint");
    let steps: Vec<u64> = of(after, "step")
        .filter(|line| line["stage"] == resumed["stage"])
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (resumed["step"].as_u64().unwrap() + 1..=240).collect::<Vec<_>>());
    assert!(!of(&before, "step").any(|line| line["step"].as_u64() > Some(240)));
    assert_eq!(of(&all, "record_written").count(), 1);
}

#[test]
fn whoever_waits_is_stopped_or_fails_says_so() {
    let bench = Bench::new("SST-2");
    let mut first = start(&bench, "runs", LONGER);
    let events = bench.path("runs/events");
    let text = || -> String {
        let names = if events.is_dir() { files(&events) } else { Vec::new() };
        names.into_iter().map(|name| fs::read_to_string(events.join(name)).unwrap()).collect()
    };
    assert!(wait_until(&mut first, || text().contains(r#""event":"step""#)));
    signal(&first, libc::SIGSTOP);
    let mut second = start(&bench, "runs", LONGER);
    let mut talk = BufReader::new(second.stderr.take().unwrap());
    let mut said = read_until(&mut talk, "waiting for another process that is computing it");
    signal(&second, libc::SIGTERM);
    talk.read_to_string(&mut said).unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(4), "{said}");
    signal(&first, libc::SIGCONT);
    signal(&first, libc::SIGTERM);
    first.wait().unwrap();
    let all = lines(&bench.path("runs"));
    let waits: Vec<&Value> = of(&all, "stage_waits").collect();
    assert_eq!((waits.len(), &waits[0]["pid"]), (1, &second.id().into()));
    for (child, message) in [(&second, "stopped while another process"), (&first, "stopped after step")] {
        let own: Vec<Value> = all.iter().filter(|line| line["pid"] == child.id()).cloned().collect();
        let last = own.last().unwrap();
        assert_eq!(kind(last), "stopped");
        assert!(last["message"].as_str().unwrap().starts_with(message), "{last}");
    }
    // The one that computed says in which stage it was.
    let inside = of(&all, "stopped").find(|line| line["pid"] == first.id()).unwrap();
    assert!(stage(inside).starts_with("finetune-"), "{inside}");

    for (store, setting, code) in [("long", "data.max_length=65", 2), ("wild", "train.learning_rate=1e30", 1)]
    {
        let told = refused(&mut bench.run_in(store, "sst2", &["--set", setting]), code, &[]);
        let all = lines(&bench.path(store));
        let last = all.last().unwrap();
        assert_eq!((kind(last), &last["exit_code"]), ("failed", &code.into()));
        assert_eq!(format!("error: {}", last["message"].as_str().unwrap()), told);
    }
}

#[test]
fn weights_that_are_trained_again_are_a_stage_that_begins_and_ends() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    bench.record("sst2", &[]);
    gc(&store, &["--keep", "tickets"]);
    let [good] = &event_files(&store)[..] else { panic!("one run is expected") };
    bench.record("sst2", &["--mode", "bad"]);
    let bad = event_files(&store).into_iter().find(|path| path != good).unwrap();
    let told = [
        "run_begins",
        "stage_found finetune",
        "scores",
        "stage_found search",
        "stage_begins finetune",
        "step",
        "stage_ends finetune",
        "stage_begins evaluate",
    ];
    let story = story(&lines_of(&bad));
    assert_eq!(story[..told.len()], told);
    assert_eq!(story.last().unwrap(), "warning");
}

#[test]
fn events_that_cannot_be_written_are_told_once_and_change_nothing() {
    let bench = Bench::new("SST-2");
    let whole = bench.record("sst2", &[]);
    let file = event_files(&bench.path("runs"))[0].file_name().unwrap().to_owned();
    bench.write("file/events", "");
    fs::create_dir_all(bench.path("full/events")).unwrap();
    symlink("/dev/full", bench.path("full/events").join(file)).unwrap();
    for store in ["file", "full"] {
        let output = succeeded(bench.run_in(store, "sst2", &[]).arg("--json"));
        let said = stderr(&output);
        assert_eq!(said.matches("events cannot be written").count(), 1, "{said}");
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["full", "pruned", "retrained", "ticket", "stages", "warnings"] {
            assert_eq!(record[key], whole[key], "{store}: {key}");
        }
        let output = succeeded(&mut bench.run_in(store, "sst2", &["--quiet"]));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn a_line_that_no_run_writes_is_refused() {
    let (bench, validator) = (Bench::new("SST-2"), validator());
    bench.record("sst2", &[]);
    let lines = lines(&bench.path("runs"));
    let kinds: BTreeSet<&str> = lines.iter().map(kind).collect();
    for kind in kinds {
        let line = of(&lines, kind).next().unwrap();
        for key in line.as_object().unwrap().keys() {
            let mut without = line.clone();
            without.as_object_mut().unwrap().remove(key);
            let optional = (key == "stage" && ["scores", "warning"].contains(&kind))
                || key == "metrics" && kind != "scores";
            assert_eq!(validator.violations(&without).is_empty(), optional, "{kind} without {key}");
            for other in [json!([{}]), json!(-2.5), Value::Null] {
                let mut wrong = line.clone();
                wrong[key] = other.clone();
                // Any number may be a loss or a score.
                let fine = other.is_number() && ["loss", "score", "threshold"].contains(&&**key);
                assert_eq!(validator.violations(&wrong).is_empty(), fine, "{kind} with {key} = {other}");
            }
        }
    }
    // What a later version adds is taken.
    let mut later = lines[1].clone();
    later["event"] = json!("stage_explodes");
    later["more"] = json!({});
    assert!(validator.violations(&later).is_empty());
}
