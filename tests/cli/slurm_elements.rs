//! The script of a Slurm sweep, as Slurm would run it for an element of the array.
#![cfg(unix)]

use std::{fs, process::Child};

use crate::{
    fixture::stderr,
    output::plain,
    processes::{has, signal, wait_until},
    slurm::{Mock, directives, stdout},
    sweep::{outcomes, sweep},
};

#[test]
fn an_element_runs_the_sweep_whatever_the_store_is_called_and_hands_its_code_on() {
    let mock = Mock::new();
    let store = "a \"b\" 'c' $HOME `d` 100%";
    let output = mock.submit(store, &["--workers", "1", "--cpus", "3", "--setup", "echo \"setup in $PWD\""]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let folder = mock.submission(store, 1);
    let text = fs::read_to_string(folder.join("array-1.sh")).unwrap();
    let log = text.lines().find_map(|line| line.strip_prefix("#SBATCH --output=")).unwrap();
    assert!(log.contains(r#"/a \"b\" 'c' $HOME `d` 100%%/sweeps/"#), "{log}");
    let output = mock.element(&folder.join("array-1.sh"), &[]).output().unwrap();
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said} {}", stderr(&output));
    assert!(
        said.contains("setup in /\n") && said.contains("12_0") && said.contains("ends with exit code 0"),
        "{said}"
    );
    assert_eq!(outcomes(&mock.bench.path(store)).len(), 6);
    // What is done is not submitted.
    let output = mock.submit(store, &[]);
    assert!(output.status.success() && stderr(&output).contains("nothing to submit"), "{}", stderr(&output));

    // Runs that fail are no reason to begin again.
    mock.bench.remove("glue/SST-2/train.tsv");
    mock.submit("failing", &["--workers", "1"]);
    let script = mock.submission("failing", 1).join("array-1.sh");
    mock.calls();
    let output = mock.element(&script, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert_eq!(mock.calls(), Vec::<String>::new());
    // A retry asks for the same as the submission before, and its runs are to be begun.
    mock.bench.write_task("SST-2");
    let output =
        mock.lottery(&["sweep", "retry", "--store", "failing", "--executor", "slurm", "--qos", "high"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let again = mock.submission("failing", 2);
    let text = fs::read_to_string(again.join("array-1.sh")).unwrap();
    assert!(
        directives(&text).contains(&"--array=0-0") && directives(&text).contains(&"--qos=high"),
        "{text}"
    );
    assert!(mock.element(&again.join("array-1.sh"), &[]).status().unwrap().success());
    assert_eq!(outcomes(&mock.bench.path("failing")).len(), 6);
}

/// Begins the only element of a sweep that takes long, and waits until it trains.
fn begin(mock: &Mock, store: &str, epochs: u32) -> Child {
    let epochs = format!("train.epochs={epochs}");
    let long = ["--workers", "1", "--modes", "full", "--seeds", "1", "--time", "60"];
    let grid =
        ["--tasks", "sst2", "--set", &epochs, "--set", "run.checkpoint_every=0", "--executor", "slurm"];
    let output = mock.run(sweep(&mock.bench, store, &[&grid[..], &long].concat()));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let script = mock.submission(store, 1).join("array-1.sh");
    let mut child = mock.element(&script, &[]).spawn().unwrap();
    let dir = mock.bench.path(store);
    assert!(wait_until(&mut child, || has(&dir, "finetune", Some("checkpoint"))));
    mock.calls();
    child
}

#[test]
fn an_element_whose_time_is_up_goes_back_into_the_queue_and_goes_on_there() {
    let mock = Mock::new();
    let child = begin(&mock, "runs", 60);
    // To the shell alone, as --signal=B: does.
    signal(&child, libc::SIGUSR1);
    let output = child.wait_with_output().unwrap();
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(4), "{said} {}", stderr(&output));
    assert_eq!(mock.calls(), ["scontrol requeue 12_0"]);
    assert!(said.contains("work is left at the time limit: requeued"), "{said}");
    assert!(outcomes(&mock.bench.path("runs")).is_empty());

    let script = mock.submission("runs", 1).join("array-1.sh");
    // The end as Slurm tells it stands for the time limit of the script: nothing can be done in no time.
    let past = mock.element(&script, &[("SLURM_JOB_END_TIME", "1000000000")]).output().unwrap();
    assert_eq!(past.status.code(), Some(4), "{}", stderr(&past));
    assert_eq!(mock.calls(), ["scontrol requeue 12_0"]);

    let output = mock.element(&script, &[("SLURM_RESTART_COUNT", "1")]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("starts (attempt 2)"), "{}", stdout(&output));
    assert!(crate::sweep::logs(&mock.bench.path("runs")).contains("resuming after step"));
    assert_eq!(outcomes(&mock.bench.path("runs")).len(), 1);
    assert_eq!(mock.calls(), Vec::<String>::new());
}

#[test]
fn an_element_that_is_ended_or_cancelled_stops_and_does_not_come_back() {
    let mock = Mock::new();
    let child = begin(&mock, "ended", 60);
    signal(&child, libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(mock.calls(), Vec::<String>::new());

    // Where there is no scancel, the file does it.
    let child = begin(&mock, "file", 5000);
    let words = ["sweep", "cancel", "--store", "file"].map(str::to_owned);
    let output = plain(&mock.bench, &words).env("PATH", "/nowhere").output().unwrap();
    let told = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(told.contains("scancel is not on PATH") && told.contains("end on their own"), "{told}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(mock.calls(), Vec::<String>::new());
    assert!(outcomes(&mock.bench.path("file")).is_empty());
    // One that begins after that does nothing.
    let script = mock.submission("file", 1).join("array-1.sh");
    let output = mock.element(&script, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("the sweep was cancelled"), "{}", stdout(&output));
    assert!(outcomes(&mock.bench.path("file")).is_empty());
}

#[test]
fn an_element_without_the_gpus_that_were_asked_for_says_why() {
    let mock = Mock::new();
    for (store, request) in [("one", ["--gpus-per-task", "1"]), ("two", ["--gres", "gpu:a100:1"])] {
        mock.submit(store, &[&request[..], &["--workers", "1"]].concat());
        let script = mock.submission(store, 1).join("array-1.sh");
        mock.calls();
        let output = mock.element(&script, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        let said = stderr(&output);
        for wanted in [&request.join("=")[..], "CUDA_VISIBLE_DEVICES", "gres.conf"] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        assert_eq!(mock.calls(), Vec::<String>::new());
        let output = mock.element(&script, &[("CUDA_VISIBLE_DEVICES", "3,5")]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}
