//! What runs where nothing is asked for: the demo task on the embedded model.

use std::{fs, path::Path};

use assert_cmd::Command;
use serde_json::Value;

use crate::fixture::{files, lottery, refused, stderr, succeeded};

/// In an empty folder; few examples, so that it takes a second or two.
fn run(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = lottery();
    command.args([
        "run",
        "--set",
        "data.train_limit=96",
        "--set",
        "data.dev_limit=48",
        "--set",
        "train.epochs=1",
    ]);
    command.args(arguments).current_dir(folder).env("LOTTERY_CACHE", folder.join("cache"));
    command
}

#[test]
fn a_run_of_nothing_in_particular_is_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    // What is usual elsewhere is not meant here.
    let mut command = run(folder.path(), &[]);
    let output =
        succeeded(command.env("LOTTERY_MODEL", "nowhere").env("LOTTERY_DATA", "nowhere").env_remove("CARGO"));
    let (said, table) = (stderr(&output), String::from_utf8(output.stdout).unwrap());
    assert!(table.contains("demo good seed 1337") && table.contains("retrained"), "{table}");
    // Nobody reads that in a log.
    assert!(!said.contains("next:"), "{said}");
    for name in ["running the demo without LOTTERY_MODEL", "running the demo without LOTTERY_DATA"] {
        assert!(said.contains(name), "{said}");
    }
    let mut command = run(folder.path(), &["--mode", "bad", "--json"]);
    let output = succeeded(command.env("CARGO", "cargo"));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&record["task"], &record["config"]["preset"]), (&"demo".into(), &"tiny".into()));
    assert_eq!((&record["model"]["name"], &record["mode"]), (&"tiny".into(), &"bad".into()));
    assert!(
        record["model"]["layers"].as_u64().unwrap() >= 4 && record["model"]["heads"].as_u64().unwrap() >= 4
    );
    assert!(stderr(&output).contains("found in the store"));
}

#[test]
fn the_embedded_model_is_written_to_the_cache_once_and_mended_there() {
    let folder = tempfile::tempdir().unwrap();
    let dry = || succeeded(&mut run(folder.path(), &["--dry-run"]));
    let plan = dry().stdout;
    let cached = files(&folder.path().join("cache"));
    assert_eq!(cached.len(), 4, "{cached:?}");
    let model = cached.iter().find(|path| path.ends_with("model.safetensors")).unwrap();
    let model = folder.path().join("cache").join(model);
    let whole = fs::read(&model).unwrap();
    assert!(whole.len() < 2_000_000);
    fs::write(&model, &whole[..1000]).unwrap();
    assert_eq!(dry().stdout, plan);
    assert!(fs::read(&model).unwrap() == whole);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_plan_can_be_had_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = succeeded(&mut run(folder.path(), &["--dry-run", "--json"]));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["config"]["data"]["train_limit"], 96);
    assert_eq!(document["plan"].as_array().unwrap().len(), 5, "{document}");
}

/// What changes these names has every user's store computed anew.
#[test]
fn the_names_of_the_demos_stages_and_of_a_sweeps_runs_are_those_of_the_first_version() {
    let folder = tempfile::tempdir().unwrap();
    let planned = |words: &[&str]| -> Value {
        let mut command = lottery();
        command.args(words).args(["--dry-run", "--json"]).current_dir(folder.path());
        let output = succeeded(command.env("LOTTERY_CACHE", folder.path().join("cache")));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let plan = planned(&["run"])["plan"].to_string();
    for id in ["finetune-ce806c214e11: 500 steps", "search-2868b2c32db7: heads+ffns"] {
        assert!(plan.contains(id), "{plan}");
    }
    let sweep =
        planned(&["sweep", "--tasks", "demo", "--modes", "good,bad,random,full", "--seeds", "1337,42"]);
    assert_eq!(sweep["sweep"], "grid-5c36da90bbbd");
    let runs: Vec<&str> =
        sweep["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    let expected = [
        "demo-heads+ffns-full-1337-f35eb4f57a02",
        "demo-heads+ffns-good-1337-c5779cd662f4",
        "demo-heads+ffns-bad-1337-dec831209e10",
        "demo-heads+ffns-random-1337-4c8d0bb89e1d",
        "demo-heads+ffns-full-42-d12461510bbe",
        "demo-heads+ffns-good-42-493c7095a316",
        "demo-heads+ffns-bad-42-ab743e9cf4fe",
        "demo-heads+ffns-random-42-d67f19888d57",
    ];
    assert_eq!(runs, expected);
}

#[test]
fn a_cache_that_cannot_be_written_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let mut command = run(folder.path(), &["--dry-run"]);
    refused(
        command.env("LOTTERY_CACHE", folder.path().join("file/below")),
        3,
        &["LOTTERY_CACHE", "file/below"],
    );
}

#[test]
fn without_a_home_the_embedded_model_goes_to_the_temporary_folder() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    // As services and containers have it: no HOME, or one that cannot be written.
    for home in [None, Some(folder.path().join("file/home"))] {
        let mut command = run(folder.path(), &["--dry-run"]);
        command.env_remove("LOTTERY_CACHE").env_remove("XDG_CACHE_HOME").env_remove("HOME");
        command.envs(home.map(|home| ("HOME", home))).env("TMPDIR", &temporary);
        succeeded(&mut command);
        assert!(files(&temporary.join("lottery")).iter().any(|path| path.ends_with("model.safetensors")));
        fs::remove_dir_all(temporary.join("lottery")).unwrap();
    }
    let mut command = run(folder.path(), &["--dry-run"]);
    command.env_remove("LOTTERY_CACHE").env("XDG_CACHE_HOME", folder.path().join("file"));
    command.env("TMPDIR", folder.path().join("file"));
    let told = refused(&mut command, 3, &["tiny", "file/lottery", "LOTTERY_CACHE"]);
    assert!(!told.contains("--store"), "{told}");
}

#[test]
fn every_preset_fits_the_embedded_model_and_a_folder_of_its_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tiny")).unwrap();
    fs::write(folder.path().join("tiny/config.json"), "{}").unwrap();
    for preset in ["prasanna2020", "prasanna2020-code", "liang2021", "liang2021-code", "small", "tiny"] {
        let output = succeeded(&mut run(folder.path(), &["--dry-run", "--preset", preset]));
        assert!(String::from_utf8_lossy(&output.stdout).contains("max_length = 48"), "{preset}");
        assert!(stderr(&output).contains("./tiny"), "{}", stderr(&output));
    }
}

#[test]
fn a_model_or_data_without_a_task_is_asked_which_task() {
    let folder = tempfile::tempdir().unwrap();
    for flag in ["--model", "--data"] {
        refused(&mut run(folder.path(), &[flag, "x"]), 2, &["no task is named", "--task"]);
    }
}
