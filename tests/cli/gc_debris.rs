//! What killed processes and ended sweeps leave, and whose models are nobody's to remove.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::json;

use crate::{
    fixture::{Bench, files, lottery, succeeded},
    gc::{content, gc, nothing_computed, of_stages},
    sweep::all_done,
};

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "debris").unwrap();
}

fn age(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(4000)).unwrap();
}

#[test]
fn debris_goes_and_finished_stages_records_and_interrupted_trainings_stay() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let store = bench.path("runs");
    let whole = content(&store);
    let finetune = format!("stages/{}", record["stages"]["finetune"].as_str().unwrap());
    let debris = [
        format!("{finetune}/checkpoint/step-0000000003"),
        format!("{finetune}/.tmp-abc"),
        "stages/retrain-0123456789ab/metrics.json".to_owned(),
        "stages/retrain-0123456789ab/checkpoint/.tmp-abc".to_owned(),
        "stages/finetune-0123456789ab/checkpoint/.tmp-abc".to_owned(),
        "stages/finetune-0123456789ab/metrics.json".to_owned(),
        "locks/retrain-0123456789ab".to_owned(),
        "locks/search-0123456789ab".to_owned(),
        "locks/run-0123456789ab".to_owned(),
        "results/sst2/heads+ffns/good/.tmp-abc".to_owned(),
        "cache/.tmp-old".to_owned(),
    ];
    let kept = [
        "stages/finetune-0123456789ab/checkpoint/step-0000000003",
        "stages/notes/file",
        "locks/finetune-0123456789ab",
        // Somebody may be writing it.
        "cache/.tmp-new",
    ];
    debris.iter().map(String::as_str).chain(kept).for_each(|name| write(&store.join(name)));
    age(&store.join("cache/.tmp-old"));

    let planned = gc(&store, &["--dry-run"]);
    let removed = gc(&store, &[]);
    assert_eq!(planned["total"], removed["total"]);
    assert_eq!(removed["removed"], planned["removed"]);
    assert_eq!(removed["total"]["files"], debris.len());
    let mut expected: Vec<PathBuf> = whole.keys().cloned().chain(kept.map(PathBuf::from)).collect();
    expected.sort();
    assert_eq!(files(&store), expected);
    assert!(!store.join("stages/retrain-0123456789ab").exists());
    assert_eq!(nothing_computed(&mut bench.run("sst2", &[]), 4), record);

    // An interrupted training begins anew where only tickets are kept.
    let removed = gc(&store, &["--keep", "tickets"]);
    assert_eq!(removed["removed"]["checkpoints"]["files"], 1);
    assert!(!store.join("stages/finetune-0123456789ab").exists());
    assert!(store.join("stages/notes/file").exists());
}

#[test]
fn what_a_sweep_gave_its_runs_goes_and_its_logs_where_nothing_is_kept() {
    let bench = Bench::new("SST-2");
    let grid = ["--tasks", "sst2,rte", "--modes", "full", "--seeds", "1,2", "--keep-going"];
    let output = crate::sweep::sweep(&bench, "runs", &grid).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "RTE has no data");
    let store = bench.path("runs");
    let below = |end: &str| {
        let of = |path: &PathBuf| path.to_string_lossy().ends_with(end);
        files(&store.join("sweeps")).into_iter().filter(of).count()
    };
    assert_eq!((below(".toml"), below(".log")), (4, 4));
    for name in ["old", "new"] {
        write(&store.join(format!("events/sst2-heads+ffns-full-1-{name}.jsonl")));
    }
    age(&store.join("events/sst2-heads+ffns-full-1-old.jsonl"));
    gc(&store, &[]);
    assert_eq!((below(".toml"), below(".log")), (0, 4));
    let removed = gc(&store, &["--keep", "none"]);
    assert_eq!(
        (&removed["removed"]["logs"]["files"], &removed["removed"]["events"]["files"]),
        (&2.into(), &1.into())
    );
    let locks =
        files(&store.join("locks")).iter().filter(|path| path.to_string_lossy().starts_with("run-")).count();
    assert_eq!(locks, 4, "the locks of runs that a sweep has");
    // Why a run failed is still told.
    assert_eq!(below(".log"), 2);
    bench.write_task("RTE");
    let words = ["sweep", "retry", "--store", "runs"];
    succeeded(lottery().args(words).current_dir(bench.root.path()));
    all_done(&bench, "runs", &grid);
}

#[test]
fn a_pre_trained_model_is_never_removed() {
    let bench = Bench::new("SST-2");
    let words = ["warm", "flat", "dull", "funny", "bright", "bleak", "clever", "tired"];
    let line = |n: usize| format!("the {} film and the {} plot\n", words[n % 8], words[n / 8]);
    bench.write("text.txt", (0..64).map(line).collect::<String>());
    let mut command = lottery();
    command.args(["pretrain", "--model", "model", "--text", "text.txt", "--unit", "line", "--store", "runs"]);
    succeeded(command.args(["--max-length", "16", "--steps", "3"]).current_dir(bench.root.path()));
    let store = bench.path("runs");
    let interrupted = "stages/pretrain-0123456789ab/checkpoint/step-0000000003";
    write(&store.join(interrupted));
    let before = content(&store);
    assert_eq!(gc(&store, &["--keep", "none"])["total"], json!({ "files": 0, "bytes": 0 }));
    assert_eq!(content(&store).len(), before.len() + 1, "but for the lock of the stage that was made up");
    assert_eq!(of_stages(&store, "model.safetensors").len(), 1);
}

/// In a mount namespace of its own, so that the small disk goes away with the processes.
#[cfg(target_os = "linux")]
#[test]
fn room_is_made_on_a_disk_that_is_full_to_the_last_byte() {
    use crate::fixture::stderr;
    let bench = Bench::new("SST-2");
    fs::create_dir_all(bench.path("disk")).unwrap();
    let run = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(bench.path("disk"));
        command.arg(env!("CARGO_BIN_EXE_lottery")).args(bench.arguments("disk/runs", "sst2", &["--quiet"]));
        command.current_dir(bench.root.path()).env("LOTTERY_SHARE_DIR", "").output().unwrap()
    };
    let mount = r#"mount -t tmpfs -o size=4m none "$1" || exit 99"#;
    if !run(mount).status.success() {
        eprintln!(
            "skipped: room_is_made_on_a_disk_that_is_full_to_the_last_byte (may not mount a small disk here)"
        );
        return;
    }
    let script = format!(
        r#"{mount}; disk=$1; shift; "$@" > /dev/null || exit 98
        cat /dev/zero > "$disk/fill" 2> /dev/null; (echo > "$disk/more") 2> /dev/null && exit 97
        "$1" gc --store "$disk/runs" --keep tickets > /dev/null || exit 96
        test -z "$(find "$disk" -name model.safetensors)" || exit 95
        "$@" > /dev/null"#
    );
    let output = run(&script);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
