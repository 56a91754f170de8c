//! Stores with links, names and files that this program did not put there: nothing outside is removed or written.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::{
    fixture::{Bench, json_file, lottery, printed, refused, stderr, succeeded},
    gc::{content, gc, nothing_computed},
    processes::{has, start, wait_until},
    sweep::all_done,
};

/// A folder beside the store with files of every name that something in a store is removed by.
struct Outside {
    dir: PathBuf,
    before: std::collections::BTreeMap<PathBuf, Vec<u8>>,
}

impl Outside {
    fn new(bench: &Bench) -> Self {
        let dir = bench.path("outside");
        for name in [
            "victim",
            "thesis.tex",
            ".tmp-x",
            "x.tokens",
            "step-0000000001",
            "model.safetensors",
            "metrics.json",
            "checkpoint/.tmp-x",
            "checkpoint/step-0000000001",
            "good/.tmp-x",
            "good/victim",
            "run-0123456789ab",
            "retrain-0123456789ab",
            "retrain-0123456789ab.of-x",
            "run.jsonl",
            "run.toml",
            "run.json",
            "run.log",
            "run.new",
        ] {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "precious").unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(40_000)).unwrap();
        }
        Self { before: content(&dir), dir }
    }

    fn assert_untouched(&self, when: &str) {
        let now = content(&self.dir);
        let names =
            |all: &std::collections::BTreeMap<PathBuf, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&now), names(&self.before), "{when}");
        assert!(now == self.before, "{when}");
    }
}

fn gc_all(store: &Path) -> Vec<String> {
    let damaged = |document: Value| -> Vec<String> {
        document["damaged"].as_array().unwrap().iter().map(|why| why.as_str().unwrap().to_owned()).collect()
    };
    for policy in ["models", "tickets"] {
        damaged(gc(store, &["--keep", policy]));
    }
    let planned = gc(store, &["--keep", "none", "--dry-run"]);
    let removed = gc(store, &["--keep", "none"]);
    assert_eq!(planned["total"], removed["total"]);
    damaged(removed)
}

#[test]
fn a_link_in_the_place_of_any_folder_of_a_store_leads_no_deletion_outside() {
    let bench = Bench::new("SST-2");
    let (outside, store) = (Outside::new(&bench), bench.path("runs"));
    bench.record("sst2", &["--mode", "full"]);
    fs::create_dir_all(store.join("sweeps")).unwrap();
    for link in ["cache", "results", "locks", "sweeps", "events"] {
        let moved = bench.path("moved");
        fs::rename(store.join(link), &moved).unwrap();
        symlink(&outside.dir, store.join(link)).unwrap();
        let why = gc_all(&store).join("\n");
        outside.assert_untouched(link);
        if link != "sweeps" {
            assert!(why.contains(link) && why.contains("symbolic link"), "{link}: {why}");
        }
        fs::remove_file(store.join(link)).unwrap();
        fs::rename(&moved, store.join(link)).unwrap();
    }
    let links = [
        "stages/retrain-0123456789ab",
        "stages/pretrain-0123456789ab",
        "stages/evaluate-0123456789ab",
        "stages/finetune-0123456789ab/checkpoint",
        "stages/search-0123456789ab/sub",
        "results/sst2/heads+ffns/x",
        "results/link",
        "locks/finetune-0123456789ac",
        "cache/y.tokens",
        "cache/.tmp-y",
        "events/y.jsonl",
        "sweeps/link",
    ];
    for link in links {
        fs::create_dir_all(store.join(link).parent().unwrap()).unwrap();
        symlink(&outside.dir, store.join(link)).unwrap();
    }
    gc_all(&store);
    outside.assert_untouched("links in folders");
    // What is named like something that goes, goes itself.
    assert!(!store.join("cache/y.tokens").is_symlink() && !store.join("stages/search-0123456789ab").exists());
    assert!(
        store.join("results/link").is_symlink() && store.join("stages/retrain-0123456789ab").is_symlink()
    );
    assert!(!outside.dir.join("stage.json").exists());
}

#[test]
fn runs_and_sweeps_write_and_remove_nothing_through_links() {
    let bench = Bench::new("SST-2");
    let outside = Outside::new(&bench);
    let record = bench.record_in("whole", "sst2", &["--mode", "full"]);
    let id = record["stages"]["finetune"].as_str().unwrap();
    let store = bench.path("runs");
    let stage = store.join("stages").join(id);

    // A stage to be computed whose folder is a link.
    fs::create_dir_all(store.join("stages")).unwrap();
    symlink(&outside.dir, &stage).unwrap();
    refused(&mut bench.run("sst2", &["--mode", "full"]), 3, &[id, "symbolic link", "Replace the link"]);
    outside.assert_untouched("a stage's folder");

    // Its checkpoints.
    fs::remove_file(&stage).unwrap();
    fs::create_dir_all(&stage).unwrap();
    symlink(&outside.dir, stage.join("checkpoint")).unwrap();
    symlink(outside.dir.join("victim"), stage.join("metrics.json")).unwrap();
    let keep = ["--mode", "full", "--keep", "none", "--set", "run.checkpoint_every=0"];
    let again = bench.record("sst2", &keep);
    assert_eq!(again["full"], record["full"]);
    outside.assert_untouched("checkpoints");

    // A lock, a lease and the events.
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir_all(store.join("locks")).unwrap();
    let lock = store.join("locks").join(id);
    symlink(outside.dir.join("new"), &lock).unwrap();
    refused(&mut bench.run("sst2", &["--mode", "full"]), 3, &[id]);
    fs::remove_file(&lock).unwrap();
    symlink(outside.dir.join("new"), lock.with_extension("lease")).unwrap();
    refused(&mut bench.run("sst2", &["--mode", "full"]), 3, &["lease", "Remove it"]);
    fs::remove_file(lock.with_extension("lease")).unwrap();
    symlink(outside.dir.join("victim"), lock.with_extension("lease")).unwrap();
    let mut impatient = bench.run("sst2", &["--mode", "full"]);
    succeeded(impatient.env("LOTTERY_LEASE", "1"));
    outside.assert_untouched("locks");
    let run = fs::read_dir(store.join("events")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&run).unwrap();
    symlink(outside.dir.join("victim"), &run).unwrap();
    succeeded(&mut bench.run("sst2", &["--mode", "full"]));
    outside.assert_untouched("events");

    // A sweep's folders.
    let grid = ["--tasks", "sst2", "--modes", "full", "--seeds", "1"];
    let document = all_done(&bench, "runs", &grid);
    let sweep = store.join("sweeps").join(document["sweep"].as_str().unwrap());
    for room in ["configs", "live", "logs", "runs"] {
        let moved = sweep.with_file_name("moved");
        fs::rename(sweep.join(room), &moved).unwrap();
        symlink(&outside.dir, sweep.join(room)).unwrap();
        let output = crate::sweep::sweep(&bench, "runs", &grid).output().unwrap();
        crate::fixture::refusal(&output, 3, &[room, "symbolic link"]);
        assert!(gc_all(&store).iter().any(|why| why.contains(room)));
        outside.assert_untouched(room);
        fs::remove_file(sweep.join(room)).unwrap();
        fs::rename(&moved, sweep.join(room)).unwrap();
    }
    all_done(&bench, "runs", &grid);
}

#[test]
fn a_store_and_its_stages_may_be_on_another_disk_behind_a_link() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", &[]);
    fs::create_dir_all(bench.path("disk/runs")).unwrap();
    fs::create_dir_all(bench.path("disk/stages")).unwrap();
    symlink(bench.path("disk/runs"), bench.path("runs")).unwrap();
    symlink(bench.path("disk/stages"), bench.path("disk/runs/stages")).unwrap();
    let record = bench.record("sst2", &[]);
    assert_eq!(record["retrained"], whole["retrained"]);
    let removed = gc(&bench.path("runs"), &["--keep", "tickets"]);
    assert_eq!((&removed["removed"]["weights"]["files"], &removed["damaged"]), (&json!(2), &json!([])));
    assert_eq!(nothing_computed(&mut bench.run("sst2", &[]), 4), record);
}

#[test]
fn names_in_the_files_of_a_store_lead_nowhere_outside() {
    let bench = Bench::new("SST-2");
    let (outside, store) = (Outside::new(&bench), bench.path("runs"));
    let record = bench.record("sst2", &["--mode", "full"]);
    let id = record["stages"]["finetune"].as_str().unwrap().to_owned();
    let stage = store.join("stages").join(&id).join("stage.json");
    let whole = json_file(&stage);
    let absolute = outside.dir.join("victim").display().to_string();
    for name in
        ["../../../outside/victim", "../../../outside/model.safetensors", &absolute, "sub/../stage.json"]
    {
        // As a file of weights to be removed, and as one that was removed already; with and without the hash of it all.
        for removed in [false, true] {
            let mut hostile = whole.clone();
            hostile["files"][name] = hostile["files"]["model.safetensors"].clone();
            hostile["files"][name]["removed"] = removed.into();
            for sealed in [true, false] {
                if !sealed {
                    hostile.as_object_mut().unwrap().remove("seal");
                }
                fs::write(&stage, hostile.to_string()).unwrap();
                assert!(gc_all(&store).iter().any(|why| why.contains(&id) && why.contains("Delete")));
                refused(
                    &mut bench.run("sst2", &["--mode", "full", "--keep", "none"]),
                    3,
                    &[&id, "stage.json"],
                );
                outside.assert_untouched(name);
            }
        }
    }
    // The folder of another stage, by another name.
    let copy = store.join("stages/retrain-0123456789ab");
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("stage.json"), whole.to_string()).unwrap();
    assert!(gc_all(&store).iter().any(|why| why.contains(&format!("is that of {id}"))));
    fs::write(&stage, whole.to_string()).unwrap();

    let grid = ["--tasks", "sst2", "--modes", "full", "--seeds", "1"];
    let document = all_done(&bench, "runs", &grid);
    let sweep = document["sweep"].as_str().unwrap();
    let plan = store.join("sweeps").join(sweep).join("sweep.json");
    let whole = json_file(&plan);
    for name in ["../../../../outside/run", "../../outside/x-run", &absolute, "a/b-0123456789ab"] {
        let mut hostile = whole.clone();
        hostile["runs"][0]["name"] = name.into();
        fs::write(&plan, hostile.to_string()).unwrap();
        assert!(gc_all(&store).iter().any(|why| why.contains("sweep.json is damaged")), "{name}");
        for words in [&["sweep", "retry", sweep][..], &["worker", sweep]] {
            let mut command = lottery();
            command.args(words).args(["--store", "runs"]).current_dir(bench.root.path());
            refused(&mut command, 3, &["sweep.json is damaged", "is not a valid name"]);
        }
        let mut command = lottery();
        let output = succeeded(command.args(["status", "--store", "runs"]).current_dir(bench.root.path()));
        assert!(stderr(&output).contains("sweep.json is no sweep: "), "{}", stderr(&output));
        outside.assert_untouched(name);
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_and_a_flood_of_warnings_hold_nobody_up() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "full"]);
    let store = bench.path("runs");
    let status = || {
        let words = ["status", "--store", "runs"];
        let output =
            succeeded(lottery().args(words).current_dir(bench.root.path()).timeout(Duration::from_secs(60)));
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    };
    let mode = store.join("results/sst2/heads+ffns/full");
    pipe(&mode.join("seed-2.json"));
    symlink("/dev/zero", mode.join("seed-3.json")).unwrap();
    fs::create_dir(mode.join("seed-4.json")).unwrap();
    let (shown, said) = status();
    assert!(shown.starts_with("1 record,"), "{shown}");
    for word in ["seed-2.json", "a named pipe", "seed-3.json", "a device", "seed-4.json", "a folder"] {
        assert!(said.contains(word), "{said}");
    }
    let mut flood = record.clone();
    let warnings: Vec<String> = (0..400_000).map(|n| format!("kind {n}: x")).collect();
    flood["warnings"] = json!(warnings);
    (flood["seed"], flood["config"]["seed"]) = (json!(5), json!(5));
    fs::write(mode.join("seed-5.json"), flood.to_string()).unwrap();
    let (shown, _) = status();
    assert!(shown.starts_with("2 records") && shown.len() < 100_000, "{}", shown.len());

    let stage = store.join("stages").join(record["stages"]["finetune"].as_str().unwrap());
    let whole = fs::read(stage.join("stage.json")).unwrap();
    for name in ["stage.json", "metrics.json"] {
        pipe(&stage.join(name));
        let mut run = bench.run("sst2", &["--mode", "full"]);
        refused(run.timeout(Duration::from_secs(60)), 3, &[name, "a named pipe"]);
        gc_all_but_errors(&store);
        fs::remove_file(stage.join(name)).unwrap();
        fs::write(stage.join("stage.json"), &whole).unwrap();
    }
}

/// A store that cannot be read is named, and at once.
fn gc_all_but_errors(store: &Path) {
    let output =
        lottery().args(["gc", "--store"]).arg(store).timeout(Duration::from_secs(60)).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
}

/// The retrained model is read by nobody in the run that finds it.
#[test]
fn one_flipped_bit_in_weights_that_nobody_reads_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let demo = || {
        let mut command = lottery();
        command.args(["run", "--set", "data.train_limit=32", "--set", "data.dev_limit=16"]);
        command.args(["--set", "train.epochs=1"]);
        command.current_dir(folder.path()).env("LOTTERY_CACHE", folder.path().join("cache"));
        command
    };
    let record = printed(&succeeded(demo().arg("--json")));
    let store = folder.path().join("runs");
    let stage = store.join("stages").join(record["stages"]["retrain"].as_str().unwrap());
    let weights = stage.join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    assert!(whole.len() > 1 << 20);
    // Old enough for its hash to be remembered, and found twice: hashed, and looked up.
    let settled = fs::metadata(&weights).unwrap().modified().unwrap() + Duration::from_millis(2100);
    std::thread::sleep(settled.duration_since(SystemTime::now()).unwrap_or_default());
    let hashes = store.join("cache/hashes.json");
    assert_eq!(nothing_computed(&mut demo(), 4), record);
    let known = fs::read(&hashes).unwrap();
    assert!(String::from_utf8_lossy(&known).contains(weights.to_str().unwrap()));
    assert_eq!(nothing_computed(&mut demo(), 4), record);
    assert_eq!(fs::read(&hashes).unwrap(), known);

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let modified = fs::metadata(&weights).unwrap().modified().unwrap();
    fs::write(&weights, &flipped).unwrap();
    fs::File::options().write(true).open(&weights).unwrap().set_modified(modified).unwrap();
    refused(&mut demo(), 3, &["retrain-", "model.safetensors", "was changed", "Delete"]);
    fs::write(&weights, &whole).unwrap();
    assert_eq!(nothing_computed(&mut demo(), 4), record);
    // So is one in what `stage.json` says, where a store of before would take it.
    let manifest = stage.join("stage.json");
    let mut changed = json_file(&manifest);
    changed["seconds"] = json!(0.5);
    fs::write(&manifest, changed.to_string()).unwrap();
    refused(&mut demo(), 3, &["retrain-", "stage.json", "was changed", "Delete"]);
    changed.as_object_mut().unwrap().remove("seal");
    fs::write(&manifest, changed.to_string()).unwrap();
    nothing_computed(&mut demo(), 4);
}

#[test]
fn a_run_whose_earlier_stages_vanish_meanwhile_writes_no_record_that_names_them() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    let long = ["--set", "train.epochs=12"];
    let whole = bench.record_in("whole", "sst2", &long);
    for (kind, file) in [("finetune", None), ("search", Some("ticket.json"))] {
        let mut child = start(&bench, "runs", &long);
        assert!(wait_until(&mut child, || has(&store, "retrain", None)));
        let dir = store.join("stages").join(whole["stages"][kind].as_str().unwrap());
        match file {
            None => fs::remove_dir_all(&dir).unwrap(),
            Some(name) => fs::remove_file(dir.join(name)).unwrap(),
        }
        let output = child.wait_with_output().unwrap();
        let told = crate::fixture::refusal(&output, 3, &[dir.file_name().unwrap().to_str().unwrap()]);
        assert!(told.contains("un the same command again"), "{told}");
        assert!(!store.join("results/sst2").exists(), "{kind}: a record was written");
        // The remedy, as told: the stage's folder is gone, or is deleted now.
        let _ = fs::remove_dir_all(&dir);
        for retrained in fs::read_dir(store.join("stages")).unwrap().flatten() {
            if retrained.file_name().to_string_lossy().starts_with("retrain-") && kind == "finetune" {
                fs::remove_dir_all(retrained.path()).unwrap();
            }
        }
    }
    let record = bench.record("sst2", &long);
    for key in ["full", "pruned", "retrained", "ticket", "stages"] {
        assert_eq!(record[key], whole[key], "{key}");
    }
}

/// `ulimit -f`: the kernel sends SIGXFSZ, which usually kills.
#[test]
fn a_limit_on_the_size_of_files_is_told_as_a_full_disk_is() {
    let bench = Bench::new("SST-2");
    let mut told = 0;
    for blocks in [0, 2, 16, 64, 160] {
        let script = format!(r#"ulimit -f {blocks}; exec "$@""#);
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_lottery")]);
        command.args(bench.arguments("runs", "sst2", &["--mode", "full"])).current_dir(bench.root.path());
        let output = command.env("LOTTERY_SHARE_DIR", "").stdin(Stdio::null()).output().unwrap();
        if output.status.code() == Some(0) {
            break;
        }
        crate::fixture::refusal(&output, 3, &["cannot write ", "runs", "ulimit -f", "--store"]);
        crate::fixture::assert_nothing_half_written(&bench.path("runs"));
        told += 1;
    }
    assert!(told >= 3, "{told}");
    bench.record("sst2", &["--mode", "full"]);
}
