//! `lottery sweep`: real processes over a grid on the fixture's model.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    fixture::{Bench, QUICK, done_stages, files, json_file, refusal, stderr},
    output::plain,
};

/// `lottery sweep` in this store with the quick settings; `arguments` name the grid.
pub fn sweep(bench: &Bench, store: &str, arguments: &[&str]) -> Command {
    let usual = ["--model", "model", "--data", "glue", "--store", store, "--threads", "1"];
    let sets = QUICK.iter().flat_map(|set| ["--set", set]);
    let words = ["sweep"].into_iter().chain(usual).chain(sets).chain(arguments.iter().copied());
    plain(bench, &words.map(str::to_owned).collect::<Vec<_>>())
}

/// A sweep that must do all its runs; its document.
pub fn all_done(bench: &Bench, store: &str, arguments: &[&str]) -> Value {
    let output = sweep(bench, store, arguments).arg("--json").output().unwrap();
    let document = document(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(runs(&document).iter().all(|run| run["status"] == "done"), "{document}");
    document
}

pub fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

pub fn runs(document: &Value) -> &Vec<Value> {
    document["runs"].as_array().unwrap()
}

/// What the runs' processes said, all together.
pub fn logs(store: &Path) -> String {
    let all = files(&store.join("sweeps"));
    let logs = all.iter().filter(|path| path.extension().is_some_and(|e| e == "log"));
    logs.map(|path| fs::read_to_string(store.join("sweeps").join(path)).unwrap()).collect()
}

/// Every finished stage of the store must have been computed by one process, once.
pub fn assert_each_stage_computed_once(store: &Path) -> Vec<String> {
    let (stages, said) = (done_stages(store), logs(store));
    for id in &stages {
        let lines = said.lines().filter(|line| line.starts_with(&format!("{id}: ")));
        let computed = lines.filter(|line| !line.contains("found in the store") && !line.contains("waiting"));
        assert_eq!(computed.count(), 1, "{id} in {said}");
    }
    stages
}

/// The records of a store by path, without timing and what computed them.
pub fn outcomes(store: &Path) -> BTreeMap<String, Value> {
    let mut paths = files(&store.join("results"));
    // A process that was killed while it wrote one has left a temporary file.
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    let outcome = |path: &std::path::PathBuf| {
        let mut record = json_file(&store.join("results").join(path));
        for key in ["timing", "device", "devices", "provenance"] {
            record.as_object_mut().unwrap().remove(key);
        }
        // How, not what.
        record["config"].as_object_mut().unwrap().remove("run");
        (path.to_string_lossy().into_owned(), record)
    };
    paths.iter().map(outcome).collect()
}

const GRID: &[&str] = &["--tasks", "sst2", "--modes", "good,bad,random,full", "--seeds", "1,2,3"];

#[test]
fn every_stage_of_a_grid_is_computed_once_by_one_process_or_two_with_the_same_records() {
    let bench = Bench::new("SST-2");
    for (store, jobs) in [("one", "1"), ("two", "2")] {
        let document = all_done(&bench, store, &[GRID, &["--jobs", jobs]].concat());
        assert_eq!(runs(&document).len(), 12);
        let dir = bench.path(store);
        let stages = assert_each_stage_computed_once(&dir);
        let of = |kind: &str| stages.iter().filter(|id| id.starts_with(kind)).count();
        assert_eq!((of("finetune"), of("search")), (3, 3));
        // Nobody had to wait: shared stages came first.
        assert!(!logs(&dir).contains("waiting"), "{}", logs(&dir));
        for run in runs(&document) {
            let record = json_file(Path::new(run["record"].as_str().unwrap()));
            assert_eq!(record["mode"], run["config"]["mode"]);
            assert_eq!(record["retrained"]["metrics"]["accuracy"], run["scores"]["retrained"]);
            assert!(Path::new(run["log"].as_str().unwrap()).exists());
        }
    }
    let (one, two) = (outcomes(&bench.path("one")), outcomes(&bench.path("two")));
    assert_eq!(one.len(), 12);
    assert_eq!(one, two);
    // And the same as without a sweep.
    let alone = bench.record_in("alone", "sst2", &["--mode", "bad", "--seed", "2"]);
    assert_eq!(alone["retrained"], one["sst2/heads+ffns/bad/seed-2.json"]["retrained"]);

    // The same command again begins nothing.
    let before = logs(&bench.path("one"));
    let output = sweep(&bench, "one", GRID).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("12 runs, 12 done"), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("done").count(), 12);
    assert_eq!(logs(&bench.path("one")), before);
    // Nor does a run that another sweep, or none, has done.
    let other = all_done(&bench, "alone", &["--tasks", "sst2", "--modes", "bad", "--seeds", "2"]);
    assert_eq!(runs(&other)[0]["attempts"], 0);
}

#[test]
fn two_sweeps_of_one_grid_at_once_lose_and_double_nothing() {
    let bench = Bench::new("SST-2");
    let start = |grid: &[&str]| {
        let mut command = sweep(&bench, "runs", grid);
        let command = command.args(["--json", "--jobs", "2"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    // The third is another sweep, whose runs are among theirs.
    let part = ["--tasks", "sst2", "--modes", "good,bad", "--seeds", "2"];
    let sweeps = [start(GRID), start(GRID), start(&part)].map(|child| child.wait_with_output().unwrap());
    let [first, second, part] = sweeps.map(|output| {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        document(&output)
    });
    assert_eq!((runs(&first).len(), runs(&part).len()), (12, 2));
    for run in runs(&first).iter().chain(runs(&second)).chain(runs(&part)) {
        assert_eq!(run["status"], "done", "{run}");
    }
    assert_each_stage_computed_once(&bench.path("runs"));
    // One process for each run, whoever began it.
    assert_eq!(logs(&bench.path("runs")).matches("warning: importance and report share").count(), 9);
    assert_eq!(logs(&bench.path("runs")).matches(" training and ").count(), 12);
    assert_eq!(outcomes(&bench.path("runs")).len(), 12);
}

#[test]
fn a_run_that_fails_is_noted_the_others_are_done_and_a_retry_does_what_failed() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "rte,sst2", "--modes", "good,bad", "--seeds", "1", "--jobs", "2", "--keep-going"];
    let output = sweep(&bench, "runs", &grid).output().unwrap();
    let (table, said) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    assert_eq!(output.status.code(), Some(5), "{said}");
    for wanted in ["2 of 4 runs failed", "lottery sweep retry grid-", "logs"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(table.contains("failed: 2 alike, such as rte good seed 1: ") && table.contains("RTE"), "{table}");
    assert_eq!(outcomes(&bench.path("runs")).len(), 2);

    let status = plain(&bench, &["status", "--store", "runs"].map(str::to_owned)).output().unwrap();
    let shown = String::from_utf8(status.stdout).unwrap();
    assert!(shown.contains("4 runs, 2 done, 2 failed, 0 running, 0 pending"), "{shown}");
    assert!(
        shown.contains("failed: 2 alike, such as rte-heads+ffns-good-1-") && shown.contains("RTE/train.tsv"),
        "{shown}"
    );

    // The same command does not try again what failed; a retry does, and notes why it fails this time.
    let again = sweep(&bench, "runs", &[&grid[..], &["--json"]].concat()).output().unwrap();
    assert_eq!(again.status.code(), Some(5));
    assert!(runs(&document(&again)).iter().all(|run| run["attempts"] == 1));
    let retry = || {
        // From anywhere: the sweep knows where its relative paths begin.
        let store = bench.path("runs").to_string_lossy().into_owned();
        let words = ["sweep", "retry", "grid-", "--store", &store, "--json"];
        let output = plain(&bench, &words.map(str::to_owned)).current_dir("/").output().unwrap();
        (output.status.code(), document(&output))
    };
    let (code, failed) = retry();
    assert_eq!(code, Some(5));
    let rte = |run: &&Value| run["config"]["task"] == "rte";
    for run in runs(&failed).iter().filter(rte) {
        assert_eq!((&run["status"], &run["attempts"]), (&"failed".into(), &2.into()));
        assert_eq!(run["exit_code"], 3);
        assert!(run["error"].as_str().unwrap().contains("RTE/train.tsv"), "{run}");
    }
    bench.write_task("RTE");
    let (code, mended) = retry();
    assert_eq!(code, Some(0));
    for run in runs(&mended) {
        assert_eq!(run["status"], "done");
        assert_eq!(run["attempts"], if rte(&run) { 3 } else { 1 });
        assert_eq!(run["error"], Value::Null);
    }
    assert_eq!(outcomes(&bench.path("runs")).len(), 4);
}

#[test]
fn a_sweep_ends_early_after_as_many_failures_as_were_allowed() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "rte,wnli,mrpc,sst2", "--modes", "full", "--seeds", "1", "--json", "--keep-going"];
    for (store, allowed, failed) in
        [("fast", &["--fail-fast"][..], 1), ("two", &["--max-failures", "2"], 2), ("all", &[], 3)]
    {
        let output = sweep(&bench, store, &[&grid, allowed].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
        let document = document(&output);
        let count = |status: &str| runs(&document).iter().filter(|run| run["status"] == status).count();
        let expected = if failed == 3 { (3, 0, 1) } else { (failed, 4 - failed, 0) };
        assert_eq!((count("failed"), count("pending"), count("done")), expected, "{allowed:?}");
    }
    // What was not begun is begun by the same command.
    let output = sweep(&bench, "two", &grid).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert_eq!(outcomes(&bench.path("two")).len(), 1);
}

#[test]
fn a_file_with_a_grid_excludes_and_includes_is_planned_without_a_trace() {
    let bench = Bench::new("SST-2");
    let text = "preset = 'small'\n\
                [grid]\ntask = ['sst2', 'RTE']\nmode = ['good', 'bad']\nseed = [1, 2]\n\
                [[exclude]]\ntask = 'rte'\nmode = 'bad'\n\
                [[include]]\ntask = 'sst2'\nsearch.threshold = [0.5, 0.7]\n\
                [train]\nepochs = 2\n";
    bench.write("study.toml", text);
    let output = sweep(&bench, "runs", &["study.toml", "--dry-run", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let planned = document(&output);
    assert!(planned["sweep"].as_str().unwrap().starts_with("study-"), "{planned}");
    assert_eq!(runs(&planned).len(), 4 + 2 + 2);
    // Flags lie over the file.
    assert!(runs(&planned).iter().all(|run| run["config"]["train"]["epochs"] == 3));
    assert_eq!(planned["estimate"]["runs"], 8);
    assert_eq!(planned["estimate"]["seconds"], Value::Null);
    let model = fs::metadata(bench.path("model/model.safetensors")).unwrap().len();
    assert_eq!(planned["estimate"]["bytes"], model * (5 + 8));
    assert!(!bench.path("runs").exists());

    // One record later, the time of that task is known.
    bench.record("sst2", &["--preset", "small", "--seed", "1"]);
    let output = sweep(&bench, "runs", &["study.toml", "--dry-run"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    for wanted in [
        "8 runs of 2 tasks, 2 modes, 3 seeds, 3 values of search.threshold: 1 already done, 7 to do",
        "time: about",
        "not counting 2 runs",
    ] {
        assert!(table.contains(wanted), "{wanted}: {table}");
    }
    assert!(!bench.path("runs/sweeps").exists());
    // What other data or epochs take follows by their tokens: trainings take most of it.
    let seconds = |other: &str| {
        let words = ["--tasks", "sst2", "--seeds", "8", "--dry-run", "--json", "--set", other];
        let planned = document(&sweep(&bench, "runs", &words).output().unwrap());
        planned["estimate"]["seconds"].as_f64().unwrap_or_else(|| panic!("{other}: {planned}"))
    };
    let [less, usual, more] = ["train.epochs=1", "train.epochs=3", "train.epochs=30"].map(seconds);
    assert!(less < usual && usual < more && more < 10.5 * usual, "{less} {usual} {more}");
    let part = seconds("data.train_limit=40");
    assert!(part < 0.7 * usual, "a quarter of the data takes {part} of {usual}");
    // So does another task, and with how much of the model is left, the disk.
    bench.write_task("RTE");
    let planned = document(
        &sweep(&bench, "runs", &["--tasks", "rte", "--seeds", "8", "--dry-run", "--json"]).output().unwrap(),
    );
    assert!(planned["estimate"]["seconds"].as_f64().unwrap() > 0.0, "{planned}");
    let bytes = planned["estimate"]["bytes"].as_u64().unwrap();
    assert!((model..=2 * model).contains(&bytes), "{bytes}");
    // Without a record, a few steps are measured.
    let words = ["--tasks", "rte", "--dry-run", "--measure"];
    let measured = String::from_utf8(sweep(&bench, "other", &words).output().unwrap().stdout).unwrap();
    assert!(
        measured.contains("time: about ") && measured.contains("±30 %, from 20 measured steps"),
        "{measured}"
    );
    assert!(!bench.path("other").exists());
}

#[test]
fn a_slip_in_the_grid_is_a_usage_error_that_names_its_place() {
    let bench = Bench::new("SST-2");
    bench.write("slip.toml", "[grid]\ntask = ['sst2']\n[[exclude]]\nmode = 'inversed'\n");
    for (arguments, wanted) in [
        (&["--tasks", "sst2,mnlli"][..], &["--tasks", "Did you mean mnli?"][..]),
        (&["--tasks", "sst2", "--modes", "good,inversed"], &["--modes", "Did you mean inverse?"]),
        (&["--tasks", "sst2", "--seeds", "1,x"], &["--seeds", "whole number"]),
        (&["--tasks", "sst2", "--set", "train.epoch=1,2"], &["--set", "Did you mean train.epochs?"]),
        (&["slip.toml"], &["exclude 1 of file slip.toml", "Did you mean inverse?"]),
        (&["missing.toml"], &["missing.toml", "configs/sweeps"]),
        (&["--tasks", "sst2", "--preset", "smal"], &["Did you mean small?"]),
    ] {
        let output = sweep(&bench, "runs", arguments).output().unwrap();
        refusal(&output, 2, wanted);
    }
    let retry = |words: &[&str]| {
        let words: Vec<String> = ["sweep", "retry"].iter().chain(words).map(|w| (*w).to_owned()).collect();
        plain(&bench, &words).output().unwrap()
    };
    refusal(&retry(&["--store", "runs"]), 2, &["has no sweep", "--store"]);
    assert!(!bench.path("runs").exists());
}

#[test]
fn the_ready_files_and_the_script_plan_what_they_promise() {
    let bench = Bench::new("SST-2");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in fs::read_dir(root.join("configs/sweeps")).unwrap() {
        let path = entry.unwrap().path().to_string_lossy().into_owned();
        let words =
            ["sweep", &path, "--data", "glue", "--text", "demo", "--dry-run", "--json"].map(str::to_owned);
        let output = plain(&bench, &words).env("LOTTERY_CACHE", bench.path("cache")).output().unwrap();
        assert!(output.status.success(), "{path}: {}", stderr(&output));
        let name = Path::new(&path).file_name().unwrap().to_str().unwrap();
        let expected = match name {
            "demo.toml" => 9,
            "demo-imp.toml" => 10,
            "chen2020.toml" => 1215,
            "chen2020-init.toml" => 243,
            "chen2020-transfer.toml" => 81,
            "chen2020-omp.toml" => 27,
            "chen2020-mlm.toml" => 69,
            "chen2020-squad.toml" => 69,
            "chen2020-transfer-mlm.toml" => 19,
            "chen2020-code.toml" => 27,
            "gmp.toml" => 60,
            "equal-weights.toml" => 360,
            "liang2021-levels.toml" | "liang2021-large.toml" => 960,
            "liang2021-less-data.toml" => 320,
            "liang2021-rates.toml" => 150,
            "liang2021-adaptation.toml" | "liang2021-adaptation-shared.toml" => 80,
            "liang2021-shared.toml" | "liang2021-shared-large.toml" => 160,
            _ => 135,
        };
        assert_eq!(runs(&document(&output)).len(), expected, "{path}");
        seen += 1;
    }
    assert_eq!(seen, 25);
    let mut script = Command::new(root.join("scripts/sweep.sh"));
    script.args(["sst2", "model", "glue", "out", "--dry-run", "--json"]).current_dir(bench.root.path());
    let output = script.env("LOTTERY", env!("CARGO_BIN_EXE_lottery")).env("MODES", "good").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(runs(&document(&output)).len(), 20);
}

#[test]
fn runs_that_cannot_begin_are_told_before_any_begins() {
    let bench = Bench::new("SST-2");
    let told = |arguments: &[&str]| {
        let words = [&["--dry-run", "--modes", "full,good"], arguments].concat();
        let output = sweep(&bench, "runs", &words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&["--tasks", "sst2"]), Vec::<String>::new());
    let cannot = |n: usize, of: usize| format!("warning: {n} of {of} runs cannot start here: ");
    let found = told(&["--tasks", "sst2,rte"]);
    assert!(found.len() == 1 && found[0].starts_with(&cannot(2, 4)), "{found:?}");
    assert!(found[0].contains("no folder glue/RTE") && found[0].contains("--data"), "{found:?}");
    let found = told(&["--tasks", "sst2", "--models", "model,nowhere,owner/name"]);
    assert!(found.len() == 1 && found[0].starts_with(&cannot(2, 6)), "{found:?}");
    assert!(found[0].contains("there is no model folder nowhere"), "{found:?}");
    let found = told(&["--tasks", "sst2", "--set", "data.max_length=16,4096"]);
    assert!(found.len() == 1 && found[0].starts_with(&cannot(2, 4)), "{found:?}");
    assert!(found[0].contains("data.max_length is 4096"), "{found:?}");
    bench.remove("model/model.safetensors");
    let found = told(&["--tasks", "sst2"]);
    assert!(found.len() == 1 && found[0].contains("model.safetensors"), "{found:?}");
    // What is done has begun.
    let bench = Bench::new("SST-2");
    all_done(&bench, "runs", &["--tasks", "sst2", "--modes", "full"]);
    bench.remove("glue/SST-2/train.tsv");
    let output = sweep(&bench, "runs", &["--tasks", "sst2", "--modes", "full,good"]).output().unwrap();
    refusal(&output, 3, &["1 of 2 runs cannot start, so none was started", "train.tsv"]);
    let document =
        document(&sweep(&bench, "runs", &["--tasks", "sst2", "--modes", "full", "--json"]).output().unwrap());
    assert_eq!(runs(&document)[0]["status"], "done");
}

/// The end of a sweep over sparsities, and the store's status, say up to which of them tickets match the full model.
#[test]
fn the_highest_sparsity_that_matches_is_told_by_the_sweep_and_by_the_status() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "sst2", "--methods", "imp", "--set", "prune.sparsity=0.1,0.3", "--seeds", "1,2"];
    let done = all_done(&bench, "runs", &grid);
    let scores = |sparsity: &str, part: &str| -> Vec<f64> {
        let own = runs(&done).iter().filter(|run| run["config"]["prune"]["sparsity"] == sparsity);
        own.map(|run| run["scores"][part].as_f64().unwrap()).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let full = scores("0.1", "full");
    let deviation = (full[0] - full[1]).abs() / 2f64.sqrt();
    let matching = |least: f64| {
        let matches = |sparsity: &&str| mean(&scores(sparsity, "retrained")) >= least;
        ["0.3", "0.1"].into_iter().find(|sparsity| matches(sparsity)).map(|text| text.parse::<f64>().unwrap())
    };
    // Each run's record is its own, although they have one place.
    for run in runs(&done) {
        let record = json_file(Path::new(run["record"].as_str().unwrap()));
        assert_eq!(record["config"]["prune"]["sparsity"], run["config"]["prune"]["sparsity"]);
    }
    let found = &done["matching"][0];
    assert_eq!((&found["task"], &found["method"], &found["n"]), (&json!("sst2"), &json!("imp"), &json!(2)));
    assert_eq!(found["sparsity"], json!(matching(mean(&full) - deviation)));
    assert_eq!(found["strict"], json!(matching(mean(&full))));
    assert_eq!(found["relaxed"], json!(matching(0.99 * mean(&full))));

    let status = bench.verb("status", &["--json"]).output().unwrap();
    assert_eq!(document(&status)["matching"], done["matching"]);
    let text = String::from_utf8(bench.verb("status", &[]).output().unwrap().stdout).unwrap();
    let again = String::from_utf8(sweep(&bench, "runs", &grid).output().unwrap().stdout).unwrap();
    for text in [text, again] {
        assert!(text.contains("\nmatching: sst2 imp, 2 seeds: "), "{text}");
    }
}
