//! Stores that cannot be written or were damaged, and training that diverges in the middle of a stage.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

use crate::fixture::{
    Bench, assert_no_temporary_file, assert_nothing_half_written, done_stages, files, refusal, refused,
};

#[test]
fn a_store_below_a_file_is_refused_before_anything_is_computed() {
    let bench = Bench::new("RTE");
    bench.write("file", "content");
    for store in ["file", "file/runs"] {
        refused(&mut bench.run_in(store, "rte", &[]), 3, &[store, "--store"]);
    }
    assert_eq!(fs::read_to_string(bench.path("file")).unwrap(), "content");
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_that_may_not_be_written_is_refused() {
    let bench = Bench::new("RTE");
    // Not even root may create a folder there.
    refused(&mut bench.run_in("/proc/lottery", "rte", &[]), 3, &["/proc/lottery", "--store"]);
}

/// What is there can still be read: how the sweeps stand, and what the records say.
#[cfg(target_os = "linux")]
#[test]
fn a_store_that_became_read_only_is_refused_and_still_told_of() {
    let bench = Bench::new("RTE");
    bench.record_in("runs", "rte", &[]);
    let script = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99; shift; "$@""#;
    let read_only = |words: &[String]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(bench.path("runs"));
        command
            .arg(env!("CARGO_BIN_EXE_lottery"))
            .args(words)
            .current_dir(bench.root.path())
            .env("LOTTERY_SHARE_DIR", "")
            .output()
            .unwrap()
    };
    let status = read_only(&["status", "--store", "runs", "--json"].map(str::to_owned));
    if status.status.code() == Some(99) {
        eprintln!("skipped: a_store_that_became_read_only_is_refused_and_still_told_of (may not mount here)");
        return;
    }
    let document: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(document["records"].as_array().unwrap().len(), 1);
    let before = files(&bench.path("runs"));
    for words in [bench.arguments("runs", "rte", &[]), ["gc", "--store", "runs"].map(str::to_owned).into()] {
        let output = read_only(&words);
        refusal(&output, 3, &["runs"]);
    }
    assert_eq!(files(&bench.path("runs")), before);
}

/// Runs on a small disk of its own, and then lists what is left there, one path a line after the run's own stderr.
#[cfg(target_os = "linux")]
fn on_a_disk_of(kilobytes: usize, bench: &Bench, checkpoints: &str) -> Option<(Output, Vec<String>)> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(bench.path("disk"));
        command
    };
    fs::create_dir_all(bench.path("disk")).unwrap();
    let mount = format!(r#"mount -t tmpfs -o size={kilobytes}k none "$1""#);
    if !unshare(&mount).output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    let list = bench.path("list");
    let script = format!(
        r#"{mount} || exit 99; disk=$1; shift; "$@"; code=$?; (cd "$disk" && find . -type f) > "{}"; exit $code"#,
        list.display()
    );
    let mut command = unshare(&script);
    command.arg(env!("CARGO_BIN_EXE_lottery")).args(bench.arguments(
        "disk",
        "rte",
        &["--set", "train.epochs=1", "--set", checkpoints],
    ));
    let output = command.current_dir(bench.root.path()).env("LOTTERY_SHARE_DIR", "").output().unwrap();
    Some((output, fs::read_to_string(list).unwrap().lines().map(str::to_owned).collect()))
}

/// In mount namespaces of their own, so that the small disks go away with their processes.
#[cfg(target_os = "linux")]
#[test]
fn a_store_that_is_full_is_told_whenever_it_happens_and_leaves_nothing_half_written() {
    // Without checkpoints on the way, and with one after every step.
    for checkpoints in ["run.checkpoint_every=3600", "run.checkpoint_every=0"] {
        let bench = Bench::new("RTE");
        is_told_whenever_it_happens(&bench, checkpoints);
    }
}

#[cfg(target_os = "linux")]
fn is_told_whenever_it_happens(bench: &Bench, checkpoints: &str) {
    let mut told = 0;
    // From a disk that holds hardly the encoded texts to one that holds all but the record.
    for kilobytes in (8..400).step_by(24) {
        let Some((output, left)) = on_a_disk_of(kilobytes, bench, checkpoints) else {
            eprintln!(
                "skipped: a_store_that_is_full_is_told_whenever_it_happens_and_leaves_nothing_half_written \
                 (may not mount a small disk here)"
            );
            return;
        };
        if output.status.success() {
            break;
        }
        told += 1;
        refusal(&output, 3, &["disk"]);
        let remedy = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(remedy.contains("Free some space") || remedy.contains("--store"), "{remedy}");
        for path in &left {
            assert!(!path.contains("tmp"), "{path} was left at {kilobytes} KiB");
            assert!(!path.contains("results"), "a record without its run at {kilobytes} KiB");
        }
        // A manifest is written last, so the stage's other files are there too.
        for manifest in left.iter().filter(|path| path.ends_with("stage.json")) {
            let folder = manifest.trim_end_matches("stage.json");
            let needed = if folder.contains("search-") { "ticket.json" } else { "metrics.json" };
            assert!(left.contains(&format!("{folder}{needed}")), "{left:?}");
        }
    }
    assert!(told >= 3, "the disks were too large");
}

#[test]
fn a_damaged_stage_is_named_with_the_file_and_what_to_delete() {
    let bench = Bench::new("RTE");
    let record = bench.record("rte", &[]);
    let stages = bench.path("runs/stages");
    for (kind, name) in [
        ("finetune", "model.safetensors"),
        ("finetune", "metrics.json"),
        ("search", "ticket.json"),
        ("evaluate", "predictions.jsonl"),
        ("retrain", "stage.json"),
    ] {
        let id = record["stages"][kind].as_str().unwrap();
        let path = stages.join(id).join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x40;
        for damage in [whole[..whole.len() / 2].to_vec(), Vec::new(), flipped] {
            fs::write(&path, damage).unwrap();
            refused(&mut bench.run("rte", &[]), 3, &[id, name, "Delete", "run the same command again"]);
            assert_no_temporary_file(&bench.path("runs"));
        }
        if name != "stage.json" {
            fs::remove_file(&path).unwrap();
            refused(&mut bench.run("rte", &[]), 3, &[id, name, "is missing", "Delete"]);
        }
        // The remedy, as told.
        fs::remove_dir_all(stages.join(id)).unwrap();
        let again = bench.record("rte", &[]);
        for key in ["full", "pruned", "retrained", "ticket", "stages"] {
            assert_eq!(again[key], record[key], "{kind} {name}: {key}");
        }
    }
}

#[test]
fn a_damaged_token_cache_is_written_again() {
    let bench = Bench::new("RTE");
    let record = bench.record("rte", &["--mode", "full"]);
    let caches = files(&bench.path("runs/cache"));
    assert_eq!(caches.len(), 2);
    for cache in &caches {
        fs::write(bench.path("runs/cache").join(cache), b"damaged").unwrap();
    }
    assert_eq!(bench.record("rte", &["--mode", "full"])["full"], record["full"]);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_with_its_step_and_learning_rate() {
    let bench = Bench::new("RTE");
    for settings in [
        &["train.learning_rate=1e30"][..],
        // Clipping holds the gradient but not the weights.
        &["train.learning_rate=1e20", "train.clip=1e30"],
        // One step only: nothing but the evaluation is left to notice it.
        &["train.learning_rate=1e38", "train.epochs=1", "train.batch_size=160"],
    ] {
        let arguments: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        let rate = if settings.len() == 3 { "learning rate" } else { "step" };
        let message = refused(&mut bench.run("rte", &arguments), 1, &[rate, "train.learning_rate"]);
        if settings.len() < 3 {
            assert!(message.contains("of 60 (learning rate "), "{message}");
        }
        assert_nothing_half_written(&bench.path("runs"));
    }
    // The store is as good as new.
    let record: Value = bench.record("rte", &["--mode", "full"]);
    assert_eq!(record["stages"]["finetune"], record["stages"]["retrain"]);
    assert_eq!(done_stages(&bench.path("runs")).len(), 2);
}
