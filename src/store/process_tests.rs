//! What other processes may do to a store. Each test starts this test binary again as a second process, which runs
//! one of the `helper_` tests alone; those return at once when they are not told which store to use.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::json;

use super::*;

const STORE: &str = "LOTTERY_TEST_STORE";

fn id() -> StageId {
    stage_id("finetune", &json!({"seed": 1337}))
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(helper: &str, store: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(helper_arguments(helper)).env(STORE, store);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// Reads on until the process says this word; it panics when the process ends without.
    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the process ended before {word:?}");
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn let_go_on(&mut self) {
        writeln!(self.stdin).unwrap();
    }

    fn succeed(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

fn helper_arguments(helper: &str) -> [String; 4] {
    let name = format!("store::process_tests::{helper}");
    [name, "--exact".into(), "--nocapture".into(), "--test-threads=1".into()]
}

fn store_to_use() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}").unwrap();
    out.flush().unwrap();
}

fn wait_until_let_go_on() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

#[test]
fn helper_that_stops_in_the_middle_of_a_file() {
    let Some(dir) = store_to_use() else { return };
    let store = Store::open(&dir).unwrap();
    let Begin::Compute(writer) = store.begin(&id(), &mut |_| Ok(())).unwrap() else { panic!("done already") };
    writer.write("metrics.json", b"{}").unwrap();
    fs::create_dir_all(writer.checkpoint_dir()).unwrap();
    fs::write(writer.checkpoint_dir().join("step"), "7").unwrap();
    writer
        .write_with("model.safetensors", |out| {
            out.write_all(&vec![7; 2 << 20])?;
            say("half-written");
            wait_until_let_go_on();
            Ok(())
        })
        .unwrap();
}

#[test]
fn helper_that_computes_or_loads() {
    let Some(dir) = store_to_use() else { return };
    let store = Store::open(&dir).unwrap();
    let mut told = false;
    let waiting = &mut |_: &StageId| {
        if !std::mem::replace(&mut told, true) {
            say("waiting");
        }
        Ok(())
    };
    match store.begin(&id(), waiting).unwrap() {
        Begin::Compute(writer) => {
            say("computing");
            wait_until_let_go_on();
            writer.write("metrics.json", b"{}").unwrap();
            writer.finish(json!({})).unwrap();
            say("computed");
        }
        Begin::Done(done) => {
            assert_eq!(done.read("metrics.json").unwrap(), b"{}");
            say("loaded");
        }
    }
}

#[test]
fn helper_that_fills_its_disk() {
    let Some(dir) = store_to_use() else { return };
    let store = Store::open(&dir).unwrap();
    let Begin::Compute(writer) = store.begin(&id(), &mut |_| Ok(())).unwrap() else { panic!("done already") };
    let error = writer.write("model.safetensors", &vec![7; 4 << 20]).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("Free some space"), "{error}");
    assert_eq!(fs::read_dir(writer.dir()).unwrap().count(), 0, "a temporary file was left");
    drop(writer);
    assert!(matches!(store.begin(&id(), &mut |_| Ok(())).unwrap(), Begin::Compute(_)));
    say("refused as full");
}

#[test]
fn a_process_killed_in_the_middle_of_a_file_leaves_a_stage_to_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start("helper_that_stops_in_the_middle_of_a_file", folder.path());
    process.wait_for("half-written");
    let store = Store::open(folder.path()).unwrap();
    let left = || fs::read_dir(store.stage(&id()).dir()).unwrap().count();
    assert_eq!(left(), 3, "the metrics, the checkpoint and the temporary file");
    process.kill();

    assert!(store.stage(&id()).load().unwrap().is_none());
    let waits = &mut |_: &StageId| panic!("the lock outlived its process");
    let Begin::Compute(writer) = store.begin(&id(), waits).unwrap() else { panic!("half a stage is done") };
    assert_eq!(left(), 1);
    assert_eq!(fs::read_to_string(writer.checkpoint_dir().join("step")).unwrap(), "7");
}

#[test]
fn of_two_processes_that_want_one_stage_one_computes_and_the_other_loads() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Process::start("helper_that_computes_or_loads", folder.path());
    first.wait_for("computing");
    let mut second = Process::start("helper_that_computes_or_loads", folder.path());
    second.wait_for("waiting");
    first.let_go_on();
    first.wait_for("computed");
    second.wait_for("loaded");
    first.succeed();
    second.succeed();
}

#[test]
fn whoever_waits_for_a_killed_process_computes_the_stage() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Process::start("helper_that_computes_or_loads", folder.path());
    first.wait_for("computing");
    let mut second = Process::start("helper_that_computes_or_loads", folder.path());
    second.wait_for("waiting");
    first.kill();
    second.wait_for("computing");
    second.let_go_on();
    second.wait_for("computed");
    second.succeed();
}

/// In a mount namespace of its own, so that the small disk goes away with the process.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(folder.path());
        command
    };
    let mount = r#"mount -t tmpfs -o size=1m none "$1""#;
    if !unshare(mount).output().is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: a_full_disk_is_named_and_leaves_nothing_half_written (may not mount a small disk here)"
        );
        return;
    }
    let mut command = unshare(&format!(r#"{mount} && shift && exec "$@""#));
    command.arg(std::env::current_exe().unwrap()).args(helper_arguments("helper_that_fills_its_disk"));
    let output = command.env(STORE, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused as full"), "{said}");
}
