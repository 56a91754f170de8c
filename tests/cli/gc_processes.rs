//! `lottery gc` beside processes that compute, and killed itself.

use std::{
    fs,
    io::{BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    fixture::{Bench, done_stages, files, stderr},
    gc::{AGAIN, BACK, bytes, content, gc, nothing_computed, of_stages},
    output::plain,
    processes::{has, read_until, signal, start, wait_until},
    sweep::all_done,
};

/// Long enough to be caught in the middle, with a checkpoint after every step.
const STEPWISE: &[&str] = &["--json", "--set", "train.epochs=12", "--set", "run.checkpoint_every=0"];

fn held(document: &Value, kind: &str) -> bool {
    document["held"].as_array().unwrap().iter().any(|id| id.as_str().unwrap().starts_with(kind))
}

#[test]
fn what_a_process_computes_or_uses_is_not_touched() {
    let bench = Bench::new("SST-2");
    let whole = bench.record_in("whole", "sst2", &STEPWISE[1..]);
    let store = bench.path("runs");
    let mut child = start(&bench, "runs", STEPWISE);
    assert!(wait_until(&mut child, || has(&store, "finetune", Some("checkpoint"))));
    signal(&child, libc::SIGSTOP);
    let before = content(&store.join("stages"));
    for policy in ["models", "none"] {
        assert!(held(&gc(&store, &["--keep", policy, "--dry-run"]), "finetune"));
        assert!(held(&gc(&store, &["--keep", policy]), "finetune"));
    }
    assert_eq!(content(&store.join("stages")), before);
    signal(&child, libc::SIGCONT);

    // The fine-tuned model is done; the search reads it.
    assert!(wait_until(&mut child, || has(&store, "search", None)));
    signal(&child, libc::SIGSTOP);
    if !has(&store, "retrain", None) {
        assert!(held(&gc(&store, &["--keep", "none"]), "finetune"));
        assert_eq!(of_stages(&store, "model.safetensors").len(), 1);
    }
    signal(&child, libc::SIGCONT);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && !stderr(&output).contains(AGAIN), "{}", stderr(&output));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["full", "pruned", "retrained", "ticket", "stages"] {
        assert_eq!(record[key], whole[key], "{key}");
    }
}

#[test]
fn of_two_processes_that_want_removed_weights_one_trains_and_the_other_waits() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    bench.record("sst2", &STEPWISE[1..]);
    gc(&store, &["--keep", "tickets"]);
    let with = |threshold: &'static str| [STEPWISE, &["--set", threshold]].concat();
    let mut first = start(&bench, "runs", &with("search.threshold=0.5"));
    assert!(wait_until(&mut first, || has(&store, "finetune", Some("checkpoint"))));
    signal(&first, libc::SIGSTOP);
    assert!(held(&gc(&store, &["--keep", "none"]), "finetune"));
    let mut second = start(&bench, "runs", &with("search.threshold=0.6"));
    let mut lines = BufReader::new(second.stderr.take().unwrap());
    let mut said = read_until(&mut lines, "waiting for another process that is restoring its weights");
    signal(&first, libc::SIGCONT);
    lines.read_to_string(&mut said).unwrap();
    let [first, second] = [first, second].map(|child| child.wait_with_output().unwrap());
    let told = stderr(&first);
    assert!(first.status.success() && second.status.success(), "{told}{said}");
    assert!(told.contains(AGAIN) && told.contains(BACK) && !said.contains(AGAIN), "{told}{said}");
}

#[test]
fn weights_that_were_being_trained_again_go_on_from_their_checkpoint() {
    let bench = Bench::new("SST-2");
    let store = bench.path("runs");
    let record = bench.record("sst2", &STEPWISE[1..]);
    let weights = bench.stage_file("runs", &record, "finetune", "model.safetensors");
    gc(&store, &["--keep", "tickets"]);
    let other = [STEPWISE, &["--set", "search.threshold=0.5"]].concat();
    let mut child = start(&bench, "runs", &other);
    assert!(wait_until(&mut child, || has(&store, "finetune", Some("checkpoint/step-0000000009"))));
    child.kill().unwrap();
    child.wait().unwrap();
    // Neither those for whom the stage suffices as it is nor those who clear the store take the checkpoint away.
    nothing_computed(&mut bench.run("sst2", &STEPWISE[1..]), 4);
    gc(&store, &[]);
    let output = plain(&bench, &bench.arguments("runs", "sst2", &other)).output().unwrap();
    let said = stderr(&output);
    assert!(
        output.status.success() && said.contains("resuming after step ") && said.contains(BACK),
        "{said}"
    );
    assert!(bench.stage_file("runs", &record, "finetune", "model.safetensors") == weights);
    assert!(!has(&store, "finetune", Some("checkpoint")));
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let to = to.join(&path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(path), to).unwrap();
    }
}

#[test]
fn a_gc_killed_at_random_instants_leaves_a_store_with_which_runs_work() {
    let bench = Bench::new("SST-2");
    let seeds = ["1", "2", "3"];
    all_done(&bench, "first", &["--tasks", "sst2", "--modes", "good,bad", "--seeds", "1,2,3"]);
    let other = ["--seed", "2", "--set", "search.threshold=0.5"];
    let whole = bench.record_in("whole", "sst2", &other);
    copy(&bench.path("first"), &bench.path("cleared"));
    gc(&bench.path("cleared"), &["--keep", "none"]);
    let least = bytes(&bench.path("cleared"));
    let (mut kills, mut halfway) = (0, 0);
    for nth in 0..24 {
        let name = format!("killed-{nth}");
        let store = bench.path(&name);
        copy(&bench.path("first"), &store);
        let weights = of_stages(&store, "model.safetensors").len();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lottery"));
        command.args(["gc", "--keep", "none", "--store"]).arg(&store).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        // From before the first removal to behind the last, in no order.
        if nth % 2 == 0 {
            std::thread::sleep(Duration::from_micros(nth * 7919 % 25_000));
        } else {
            let seen = weights - 1 - nth as usize % weights;
            wait_until(&mut child, || of_stages(&store, "model.safetensors").len() <= seen);
        }
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let left = of_stages(&store, "model.safetensors").len();
        halfway += usize::from(left > 0 && left < weights);

        // Whatever counts as done is whole, and the runs have nothing to do.
        assert_eq!(done_stages(&store), done_stages(&bench.path("first")));
        for mode in ["good", "bad"] {
            let seed = seeds[nth as usize % 3];
            nothing_computed(&mut bench.run_in(&name, "sst2", &["--seed", seed, "--mode", mode]), 4);
        }
        let record = bench.record_in(&name, "sst2", &other);
        for key in ["full", "pruned", "retrained", "ticket", "stages"] {
            assert_eq!(record[key], whole[key], "{key}");
        }
        // The next one completes it.
        gc(&store, &["--keep", "none"]);
        assert_eq!(of_stages(&store, "model.safetensors").len() + of_stages(&store, "predictions").len(), 0);
        assert!(bytes(&store) < least + 60_000, "{} and {least} bytes", bytes(&store));
        fs::remove_dir_all(&store).unwrap();
    }
    println!("{kills} kills, {halfway} of them between two removals");
    assert!(kills >= 6 && halfway >= 4, "{kills} kills, {halfway} halfway");
}
