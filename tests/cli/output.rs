//! stdout is data, stderr is talk, and either may be closed.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use crate::fixture::{Bench, ENVIRONMENT, files, refused, stderr, succeeded};

/// The standard library's command, for streams that assert_cmd does not leave to its callers.
pub fn plain(bench: &Bench, arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lottery"));
    for (name, value) in ENVIRONMENT {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(arguments).current_dir(bench.root.path()).stdin(Stdio::null());
    command
}

#[test]
fn the_table_goes_to_stdout_and_the_talk_to_stderr() {
    let bench = Bench::new("SST-2");
    let output = succeeded(&mut bench.run("sst2", &[]));
    let (table, said) = (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output));
    for word in ["full", "pruned", "retrained", "accuracy", "8/8", "2/2", "majority class", "seed-1337.json"]
    {
        assert!(table.contains(word), "{word}: {table}");
    }
    for word in ["160 training and 48 development examples", "finetune-", "search-", "evaluate-", "retrain-"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(said.contains("warning: importance and report share the dev split"), "{said}");
    assert!(!said.contains('\u{1b}'), "escape codes where no terminal is: {said:?}");
}

#[test]
fn quiet_silences_stderr_and_leaves_the_data() {
    let bench = Bench::new("SST-2");
    let output = succeeded(&mut bench.run("sst2", &["--quiet", "--json"]));
    assert_eq!(stderr(&output), "");
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    refused(&mut bench.run("sst2", &["--quiet", "--set", "data.max_length=65"]), 2, &["data.max_length"]);
}

#[test]
fn a_dry_run_computes_nothing_and_prints_a_configuration_that_is_accepted_back() {
    let bench = Bench::new("SST-2");
    let output = succeeded(&mut bench.run("sst2", &["--mode", "bad", "--seed", "42", "--dry-run"]));
    assert!(!bench.path("runs").exists(), "a plan needs no store");
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in
        ["mode = \"bad\"", "seed = 42", "# finetune-", "# search-", "# evaluate", "# retrain", "# record: "]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(printed.contains(": 60 steps, to be computed"), "{printed}");

    bench.write("again.toml", &printed);
    let again = |extra: &[&str]| {
        let mut command = crate::fixture::lottery();
        command.args(["run", "--config", "again.toml", "--store", "runs"]).args(extra);
        succeeded(command.current_dir(bench.root.path())).stdout
    };
    assert_eq!(String::from_utf8(again(&["--dry-run"])).unwrap(), printed);

    let record: serde_json::Value = serde_json::from_slice(&again(&["--json"])).unwrap();
    assert_eq!((record["mode"].as_str(), record["seed"].as_u64()), (Some("bad"), Some(42)));
    let then = String::from_utf8(again(&["--dry-run"])).unwrap();
    assert_eq!(then.matches("in the store").count(), 4, "{then}");
}

#[test]
fn a_reader_that_closes_stdout_does_not_fail_the_run() {
    let bench = Bench::new("SST-2");
    for flag in ["--json", "--dry-run", "--quiet"] {
        let mut child = plain(&bench, &bench.arguments("runs", "sst2", &[flag]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{flag}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
    assert_eq!(files(&bench.path("runs/results")).len(), 1);
}

#[test]
fn a_reader_that_closes_stderr_does_not_fail_the_run() {
    let bench = Bench::new("SST-2");
    let with_closed_stderr = |arguments: &[&str]| {
        let mut child = plain(&bench, &bench.arguments("runs", "sst2", arguments))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        child.wait_with_output().unwrap()
    };
    let output = with_closed_stderr(&["--json"]);
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    // An error that nobody can read still has its exit code.
    assert_eq!(with_closed_stderr(&["--mode", "nonsense"]).status.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_stdout_that_is_full_is_told_and_the_record_is_kept() {
    let bench = Bench::new("SST-2");
    let output = plain(&bench, &bench.arguments("runs", "sst2", &["--json"]))
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    crate::fixture::refusal(&output, 3, &["stdout", "The record is in the store"]);
    assert_eq!(files(&bench.path("runs/results")).len(), 1);
}
