//! `lottery gc`: what goes, what stays, and what comes back to the same bits.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use serde_json::Value;

use crate::fixture::{Bench, done_stages, files, json_file, lottery, printed, refused, stderr, succeeded};

const WEIGHTS: &str = "model.safetensors";
pub const AGAIN: &str = "its weights were removed to save space; restoring them by training";
pub const BACK: &str = "weights restored bit for bit";

/// `lottery gc` on a store that must exist; its document.
pub fn gc(store: &Path, arguments: &[&str]) -> Value {
    let mut command = lottery();
    command.args(["gc", "--json", "--store"]).arg(store).args(arguments);
    serde_json::from_slice(&succeeded(&mut command).stdout).unwrap()
}

/// Every file of a store with its content.
pub fn content(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(store).into_iter().map(|path| (path.clone(), fs::read(store.join(path)).unwrap())).collect()
}

pub fn bytes(store: &Path) -> u64 {
    files(store).iter().map(|path| fs::metadata(store.join(path)).unwrap().len()).sum()
}

/// The files of this name, or that begin so, below the store's stages.
pub fn of_stages(store: &Path, name: &str) -> Vec<PathBuf> {
    let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
    files(&store.join("stages")).into_iter().filter(is).collect()
}

/// A run that must find all its stages and compute nothing.
pub fn nothing_computed(command: &mut Command, stages: usize) -> Value {
    let output = succeeded(command.arg("--json"));
    let said = stderr(&output);
    assert_eq!(said.matches("found in the store").count(), stages, "{said}");
    assert!(!said.contains("steps in") && !said.contains(AGAIN), "{said}");
    printed(&output)
}

/// The demo on the embedded model, with few examples.
fn demo(folder: &Path, store: &str, arguments: &[&str]) -> Command {
    let mut command = lottery();
    command.args(["run", "--set", "data.train_limit=96", "--set", "data.dev_limit=48"]);
    command.args(["--set", "train.epochs=1", "--store", store]).args(arguments);
    command.current_dir(folder).env("LOTTERY_CACHE", folder.join("cache"));
    command
}

#[test]
fn weights_go_nothing_else_does_and_another_search_trains_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("runs");
    let record = printed(&succeeded(demo(folder.path(), "runs", &[]).arg("--json")));
    let (before, size) = (content(&store), bytes(&store));
    let models = of_stages(&store, WEIGHTS);
    let weights: u64 = models.iter().map(|path| before[&Path::new("stages").join(path)].len() as u64).sum();
    assert!(models.len() == 2 && weights > 4_000_000);

    let mut planned = gc(&store, &["--keep", "tickets", "--dry-run"]);
    assert_eq!(content(&store), before);
    assert_eq!(planned["removed"]["weights"]["files"], 2);
    assert_eq!(planned["removed"]["weights"]["bytes"], weights);
    let removed = gc(&store, &["--keep", "tickets"]);
    planned["dry_run"] = false.into();
    assert_eq!(removed, planned);
    assert!(bytes(&store) < size - weights + 1000 && bytes(&store) < size / 2);
    assert_eq!(of_stages(&store, WEIGHTS), Vec::<PathBuf>::new());
    assert_eq!(done_stages(&store).len(), 4);
    let after = content(&store);
    for path in before.keys().filter(|path| !path.ends_with(WEIGHTS) && !path.ends_with("stage.json")) {
        assert!(before[path] == after[path], "{}", path.display());
    }
    // Nothing is left to remove.
    assert_eq!(gc(&store, &["--keep", "tickets"])["total"]["files"], 0);

    assert_eq!(nothing_computed(&mut demo(folder.path(), "runs", &[]), 4), record);
    // How large they were is still known, to whoever plans.
    let words = ["sweep", "--tasks", "demo", "--seeds", "1,2", "--store", "runs", "--dry-run", "--json"];
    let plan = succeeded(
        lottery().args(words).current_dir(folder.path()).env("LOTTERY_CACHE", folder.path().join("cache")),
    );
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let finetuned = Path::new("stages").join(record["stages"]["finetune"].as_str().unwrap()).join(WEIGHTS);
    // Two models whole, and two of what is left of them.
    let (whole, kept) = (before[&finetuned].len(), record["ticket"]["all_weights_kept"].as_f64().unwrap());
    assert_eq!(plan["estimate"]["bytes"], 2 * whole + 2 * (whole as f64 * kept) as usize);

    let lower = ["--set", "search.threshold=0.5", "--json"];
    let output = succeeded(&mut demo(folder.path(), "runs", &lower));
    let said = stderr(&output);
    let id = record["stages"]["finetune"].as_str().unwrap();
    assert!(said.contains(&format!("{id}: {AGAIN}")) && said.contains(&format!("{id}: {BACK}")), "{said}");
    for name in [WEIGHTS, "stage.json"] {
        let path = Path::new("stages").join(id).join(name);
        assert!(fs::read(store.join(&path)).unwrap() == before[&path], "{name}");
    }
    // As in a store from which nothing was removed.
    let [here, elsewhere] = [output, succeeded(&mut demo(folder.path(), "whole", &lower))]
        .map(|output| serde_json::from_slice::<Value>(&output.stdout).unwrap());
    for key in ["full", "ticket", "pruned", "retrained", "stages", "config"] {
        assert_eq!(here[key], elsewhere[key], "{key}");
    }
    // The time that it took is not the search's.
    assert_eq!(here["timing"]["finetune_s"], record["timing"]["finetune_s"]);
}

/// Earlier versions wrote the source model's dropouts into `config.json`, whatever was trained with.
#[test]
fn weights_of_a_stage_whose_config_an_earlier_version_wrote_are_trained_back() {
    let bench = Bench::new("SST-2");
    let recipe = ["--set", "train.dropout=0.3"];
    let record = bench.record("sst2", &recipe);
    let id = record["stages"]["finetune"].as_str().unwrap();
    let stage = bench.path("runs/stages").join(id);
    let weights = fs::read(stage.join(WEIGHTS)).unwrap();
    let mut config = json_file(&stage.join("config.json"));
    assert_eq!(config.as_object_mut().unwrap().shift_remove("hidden_dropout_prob"), Some(0.3.into()));
    let earlier = format!("{config:#}");
    fs::write(stage.join("config.json"), &earlier).unwrap();
    let mut manifest = json_file(&stage.join("stage.json"));
    // It wrote no hash of the manifest itself.
    assert!(manifest.as_object_mut().unwrap().shift_remove("seal").is_some());
    manifest["files"]["config.json"]["size"] = earlier.len().into();
    manifest["files"]["config.json"]["blake3"] = blake3::hash(earlier.as_bytes()).to_hex().as_str().into();
    fs::write(stage.join("stage.json"), format!("{manifest:#}\n")).unwrap();

    gc(&bench.path("runs"), &["--keep", "tickets"]);
    let other = [&recipe[..], &["--set", "search.threshold=0.5"]].concat();
    let output = succeeded(&mut bench.run("sst2", &other));
    assert!(stderr(&output).contains(&format!("{id}: {BACK}")), "{}", stderr(&output));
    assert!(fs::read(stage.join(WEIGHTS)).unwrap() == weights);
    assert_eq!(fs::read_to_string(stage.join("config.json")).unwrap(), earlier);
}

#[test]
fn each_policy_keeps_what_it_says() {
    let bench = Bench::new("MRPC");
    let record = bench.record("mrpc", &[]);
    let store = bench.path("runs");
    let whole = content(&store);
    assert_eq!(gc(&store, &[])["keep"], "models");
    assert_eq!(content(&store), whole);

    let predictions: u64 = of_stages(&store, "predictions")
        .iter()
        .map(|path| whole[&Path::new("stages").join(path)].len() as u64)
        .sum();
    let removed = gc(&store, &["--keep", "none"]);
    assert_eq!(removed["removed"]["predictions"]["bytes"], predictions);
    assert_eq!(removed["removed"]["tokens"]["files"], 2);
    for name in [WEIGHTS, "predictions"] {
        assert_eq!(of_stages(&store, name), Vec::<PathBuf>::new());
    }
    for name in ["metrics.json", "ticket.json", "stage.json"] {
        let expected = if name == "metrics.json" {
            3
        } else if name == "ticket.json" {
            1
        } else {
            4
        };
        assert_eq!(of_stages(&store, name).len(), expected, "{name}");
    }
    assert_eq!(bench.stored_record("runs", &record), record);
    assert_eq!(nothing_computed(&mut bench.run("mrpc", &[]), 4), record);
    // Another mode computes what it alone has, and what that needs.
    let bad = bench.record("mrpc", &["--mode", "bad"]);
    assert_eq!((&bad["full"], &bad["stages"]["search"]), (&record["full"], &record["stages"]["search"]));
    assert_eq!(bad["retrained"], bench.record_in("whole", "mrpc", &["--mode", "bad"])["retrained"]);
}

#[test]
fn removed_weights_are_told_by_name_where_a_folder_is_given_as_a_model() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "full"]);
    let folder = format!("runs/stages/{}", record["stages"]["finetune"].as_str().unwrap());
    gc(&bench.path("runs"), &["--keep", "tickets"]);
    let wanted = [&folder, WEIGHTS, "was removed to save disk space", "lottery gc"];
    refused(&mut bench.run("sst2", &["--model", &folder]), 3, &wanted);
    let output = succeeded(&mut bench.run("sst2", &["--dry-run"]));
    let plan = String::from_utf8(output.stdout).unwrap();
    assert!(plan.contains("in the store, without its weights"), "{plan}");
}

/// Bits that this machine does not compute are made up in `stage.json`.
#[test]
fn weights_of_other_bits_are_refused_and_not_tried_twice() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let store = bench.path("runs");
    let id = record["stages"]["finetune"].as_str().unwrap();
    let path = store.join("stages").join(id).join("stage.json");
    gc(&store, &["--keep", "tickets"]);
    let mut marked = json_file(&path);
    // Its hash of itself would tell that it was changed.
    marked.as_object_mut().unwrap().remove("seal");
    let marked = marked;
    let other_threshold = ["--set", "search.threshold=0.5"];
    let wanted = [id, "this machine cannot restore them bit for bit", "--store", "delete"];

    let mut other = marked.clone();
    other["files"][WEIGHTS]["blake3"] = blake3::hash(b"other").to_hex().as_str().into();
    fs::write(&path, other.to_string()).unwrap();
    let output = bench.run("sst2", &other_threshold).output().unwrap();
    assert!(stderr(&output).contains(AGAIN), "{}", stderr(&output));
    crate::fixture::refusal(&output, 3, &wanted);
    assert!(!path.with_file_name(WEIGHTS).exists() && !path.with_file_name("checkpoint").exists());
    let output = bench.run("sst2", &other_threshold).output().unwrap();
    assert!(!stderr(&output).contains(AGAIN), "{}", stderr(&output));
    crate::fixture::refusal(&output, 3, &wanted);

    let mut other = marked.clone();
    other["computed_by"] = serde_json::json!(["0.1.0 other"]);
    fs::write(&path, other.to_string()).unwrap();
    let output = bench.run("sst2", &other_threshold).output().unwrap();
    assert!(!stderr(&output).contains(AGAIN), "{}", stderr(&output));
    crate::fixture::refusal(&output, 3, &[&wanted[..], &["0.1.0 other"]].concat());

    // What was there is still there, for whom it suffices; and in another store all is new.
    assert_eq!(nothing_computed(&mut bench.run("sst2", &[]), 4), record);
    fs::write(&path, marked.to_string()).unwrap();
    bench.record("sst2", &other_threshold);
    assert_eq!(done_stages(&store).len(), 7);
}

#[test]
fn a_slip_in_the_policy_is_answered_with_the_nearest_name() {
    let bench = Bench::new("SST-2");
    let command = |words: &[&str]| {
        let mut command = lottery();
        command.args(words).args(["--keep", "ticket"]).current_dir(bench.root.path());
        command
    };
    for words in [&["gc"][..], &["run"], &["sweep", "--tasks", "demo"], &["sweep", "retry"]] {
        refused(
            &mut command(words),
            2,
            &["--keep ticket", "none, tickets or models", "Did you mean tickets?"],
        );
    }
    let mut command = lottery();
    refused(command.args(["gc", "--store"]).arg(bench.path("none")), 3, &["there is no store", "--store"]);
    assert!(!bench.path("runs").exists() && !bench.path("none").exists());
}
