//! The examples of other schedulers in `configs/cluster/` start workers that carry a sweep out.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{
    fixture::{Bench, ENVIRONMENT, stderr},
    output::plain,
    sweep::{outcomes, sweep},
};

const GRID: &[&str] = &["--tasks", "sst2", "--modes", "good,bad", "--seeds", "1,2"];

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/cluster").join(name)
}

#[test]
fn the_script_for_hyperqueue_submits_workers_of_the_sweep() {
    let bench = Bench::new("SST-2");
    // What HyperQueue does with its tasks, one after the other.
    let hq = "#!/bin/bash\necho \"$*\" >> calls\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nfor n in 1 2; do \"$@\" || exit; done\n";
    bench.write("bin/hq", hq);
    fs::set_permissions(bench.path("bin/hq"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = Command::new(example("hyperqueue.sh"));
    for (name, _) in ENVIRONMENT {
        script.env_remove(name);
    }
    script.env("LOTTERY", env!("CARGO_BIN_EXE_lottery")).env("LOTTERY_SHARE_DIR", "");
    script.env("PATH", format!("{}:{}", bench.path("bin").display(), std::env::var("PATH").unwrap()));
    script.args(["a store"]).args(GRID).args([
        "--model",
        "model",
        "--data",
        "glue",
        "--set",
        "train.epochs=1",
    ]);
    let output =
        script.args(["--set", "data.max_length=32"]).current_dir(bench.root.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let calls = fs::read_to_string(bench.path("calls")).unwrap();
    assert!(calls.starts_with("submit --name grid-") && calls.contains("--array 1-8"), "{calls}");
    assert_eq!(outcomes(&bench.path("a store")).len(), 4);
}

#[test]
fn the_manifest_for_kubernetes_calls_a_worker_and_knows_its_exit_codes() {
    let manifest = fs::read_to_string(example("kubernetes.yaml")).unwrap();
    // Its lists are written as JSON has them.
    let list = |key: &str| -> Vec<String> {
        let line = manifest.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let words = [list("command: "), list("args: ")].concat();
    assert_eq!(words[0], "lottery");
    for wanted in ["completionMode: Indexed", "restartPolicy: Never", "values: [4]", "values: [2, 3, 5]"] {
        assert!(manifest.contains(wanted), "{wanted}");
    }
    let bench = Bench::new("SST-2");
    let plan = sweep(&bench, "runs", &[GRID, &["--plan"]].concat()).output().unwrap();
    let id = String::from_utf8(plan.stdout).unwrap().trim().to_owned();
    let own = |word: &String| match word.as_str() {
        "prasanna2020-0123456789ab" => id.clone(),
        "/shared/runs" => "runs".to_owned(),
        other => other.to_owned(),
    };
    let output = plain(&bench, &words[1..].iter().map(own).collect::<Vec<_>>()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(outcomes(&bench.path("runs")).len(), 4);
}
