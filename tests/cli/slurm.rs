//! `lottery sweep --executor slurm` with commands in Slurm's place, and its script as Slurm would run it.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    fixture::{Bench, files, json_file, refusal, stderr},
    output::plain,
    processes::{has, signal, wait_until},
    sweep::{outcomes, sweep},
};

/// What stands in for Slurm: each command notes how it was called, and answers from a file.
const COMMANDS: &[(&str, &str)] = &[
    (
        "sbatch",
        r#"[ ! -e "$mock/refusal" ] || { cat "$mock/refusal" >&2; exit 1; }
           id=$(($(cat "$mock/id" 2> /dev/null || echo 11) + 1)); echo "$id" > "$mock/id"
           echo "$id$(cat "$mock/cluster" 2> /dev/null)""#,
    ),
    ("scontrol", r#"[ "$1" != show ] || cat "$mock/config""#),
    ("squeue", r#"cat "$mock/queue""#),
    ("scancel", ""),
];

struct Mock {
    bench: Bench,
}

impl Mock {
    fn new() -> Self {
        let bench = Bench::new("SST-2");
        bench.write("mock/config", "Configuration data as of now\nMaxArraySize            = 4\n");
        bench.write("mock/queue", "");
        bench.write("mock/calls", "");
        for (name, body) in COMMANDS {
            let mock = bench.path("mock");
            let head =
                format!("#!/bin/bash\nmock={}\necho \"{name} $*\" >> \"$mock/calls\"\n", mock.display());
            bench.write(&format!("mock/bin/{name}"), head + body + "\n");
            let path = bench.path(&format!("mock/bin/{name}"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { bench }
    }

    fn path(&self) -> String {
        format!("{}:{}", self.bench.path("mock/bin").display(), std::env::var("PATH").unwrap())
    }

    /// `lottery sweep --executor slurm` of six runs.
    fn submit(&self, store: &str, arguments: &[&str]) -> Output {
        let grid = ["--tasks", "sst2", "--modes", "good,bad", "--seeds", "1,2,3", "--executor", "slurm"];
        self.run(sweep(&self.bench, store, &[&grid, arguments].concat()))
    }

    fn lottery(&self, words: &[&str]) -> Output {
        self.run(plain(&self.bench, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()))
    }

    fn run(&self, mut command: Command) -> Output {
        command.env("PATH", self.path()).output().unwrap()
    }

    /// How Slurm's commands were called since the last time.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.bench.path("mock/calls")).unwrap();
        self.bench.write("mock/calls", "");
        calls.lines().map(str::to_owned).collect()
    }

    /// The folder of a submission of the only sweep.
    fn submission(&self, store: &str, number: u32) -> PathBuf {
        let mut sweeps = fs::read_dir(self.bench.path(store).join("sweeps")).unwrap();
        sweeps.next().unwrap().unwrap().path().join(format!("slurm/{number}"))
    }

    /// A script as element 0 of job 12.
    fn element(&self, script: &Path, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new("bash");
        command.arg(script).current_dir("/").env("PATH", self.path());
        command
            .env("SLURM_ARRAY_JOB_ID", "12")
            .env("SLURM_ARRAY_TASK_ID", "0")
            .env("SLURM_CPUS_ON_NODE", "1");
        command.env_remove("CUDA_VISIBLE_DEVICES").envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The lines that sbatch reads.
fn directives(script: &str) -> Vec<&str> {
    script.lines().filter_map(|line| line.strip_prefix("#SBATCH ")).collect()
}

#[test]
fn every_option_is_a_line_of_the_script_from_flags_as_from_the_file() {
    let mock = Mock::new();
    let flags = "--workers 3 --partition gpu --account me --qos low --time 1-00:00:00 --cpus 8 --mem 16G \
                 --gpus-per-task 2 --constraint a100&nvlink --throttle 2 --stop-before 300 --jobs 2 \
                 --sbatch-arg=--mail-type=END --dry-run";
    let more = [
        "--sbatch-arg",
        "--comment=a \"b\" \\ # c",
        "--setup",
        "module load cuda",
        "--setup",
        "export X='y z'",
    ];
    let arguments = [&flags.split_whitespace().collect::<Vec<_>>()[..], &more].concat();
    let output = mock.submit("runs", &arguments);
    let (script, said) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("6 to go: 3 elements in 1 array; nothing is submitted"), "{said}");
    let root = fs::canonicalize(mock.bench.root.path()).unwrap();
    let root = root.to_string_lossy();
    let id = script.lines().find_map(|line| line.strip_prefix("sweep=")).unwrap();
    let expected = format!(
        "--job-name={id}
--array=0-2%2
--output={root}/runs/sweeps/{id}/slurm/1/logs/%A_%a.log
--open-mode=append
--chdir={root}
--nodes=1
--ntasks=1
--signal=B:USR1@300
--partition=gpu
--account=me
--qos=low
--time=1-00:00:00
--cpus-per-task=8
--mem=16G
--gpus-per-task=2
--constraint=a100&nvlink
--requeue
--mail-type=END
\"--comment=a \\\"b\\\" \\\\ # c\""
    );
    assert_eq!(directives(&script).join("\n"), expected);
    for line in
        ["module load cuda\nexport X='y z'\n", "\ntime_limit=86400\n", "\njobs=2\n", "\nstop_before=300\n"]
    {
        assert!(script.contains(line), "{line}: {script}");
    }
    assert!(!mock.bench.path("runs").exists(), "a plan needs no store");
    assert!(mock.calls().iter().all(|call| call == "scontrol show config"));

    let text = "task = 'sst2'\n[grid]\nmode = ['good', 'bad']\nseed = [1, 2, 3]\n[slurm]\nworkers = 3\npartition = 'cpu'\n\
                account = 'me'\nqos = 'low'\ntime = '1-00:00:00'\ncpus = 8\nmem = '16G'\ngres = 'gpu:a100:1'\n\
                constraint = 'a100&nvlink'\nthrottle = 2\nstop_before = 300\n\
                sbatch_args = ['--mail-type=END', '--comment=a \"b\" \\ # c']\n\
                setup = ['module load cuda', \"export X='y z'\"]\n";
    mock.bench.write("grid.toml", text);
    let over =
        ["grid.toml", "--executor", "slurm", "--partition", "gpu", "--gpus-per-task", "2", "--jobs", "2"];
    let from_file = mock.run(sweep(&mock.bench, "runs", &[&over[..], &["--dry-run"]].concat()));
    assert_eq!(stdout(&from_file), script, "{}", stderr(&from_file));
    // What every run is to do reaches the workers.
    let kept =
        mock.run(sweep(&mock.bench, "runs", &[&over[..], &["--dry-run", "--keep", "tickets"]].concat()));
    assert!(stdout(&kept).contains("\nmore=(--keep tickets)\n"), "{}", stdout(&kept));
    assert!(script.contains("\nmore=()\n"), "{script}");
    // Where the file is executed here, what it says of Slurm says nothing.
    let here = mock.run(sweep(&mock.bench, "runs", &["grid.toml", "--dry-run"]));
    assert!(stdout(&here).contains("6 runs, 0 done already"), "{}", stderr(&here));
    mock.bench.write("slip.toml", "task = 'sst2'\n[slurm]\npartitoin = 'x'\n");
    let slip = mock.run(sweep(&mock.bench, "runs", &["slip.toml", "--dry-run"]));
    refusal(&slip, 2, &["slip.toml", "Did you mean slurm.partition?"]);
}

#[test]
fn more_workers_than_an_array_may_have_are_several_arrays_that_share_the_throttle() {
    let mock = Mock::new();
    mock.bench.write("mock/cluster", ";east");
    let output = mock.submit("runs", &["--throttle", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let folder = mock.submission("runs", 1);
    let record = json_file(&folder.join("submission.json"));
    assert_eq!(record["arrays"], told["arrays"]);
    let array = |n: usize, what: &str| record["arrays"][n][what].clone();
    assert_eq!((array(0, "elements"), array(1, "elements")), (3.into(), 3.into()));
    assert_eq!(
        (array(0, "job"), array(1, "job"), array(1, "cluster")),
        (12.into(), 13.into(), "east".into())
    );
    let script = |n: usize| folder.join(format!("array-{n}.sh"));
    for (n, line) in [(1, "--array=0-2%2"), (2, "--array=0-2%1")] {
        let text = fs::read_to_string(script(n)).unwrap();
        assert!(directives(&text).contains(&line), "{text}");
    }
    let calls = mock.calls();
    let submitted: Vec<_> = calls.iter().filter(|call| call.starts_with("sbatch")).collect();
    let expected = [1, 2].map(|n| format!("sbatch --parsable {}", script(n).display()));
    assert_eq!(submitted, expected.iter().collect::<Vec<_>>());
    assert!(folder.join("logs").is_dir());

    // Six runs of two at a time need three workers, of whom each node has one.
    let output = mock.submit("other", &["--jobs", "2", "--dry-run"]);
    assert!(directives(&stdout(&output)).contains(&"--array=0-2"), "{}", stdout(&output));
    refusal(&mock.submit("other", &["--throttle", "1"]), 2, &["throttle = 1", "MaxArraySize", "--workers"]);
}

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
        said.contains("setup in /\n") && said.contains("12_0") && said.contains("ends with code 0"),
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
    assert!(said.contains("work is left, and Slurm says that the time is up: back into the queue"), "{said}");
    assert!(outcomes(&mock.bench.path("runs")).is_empty());

    let script = mock.submission("runs", 1).join("array-1.sh");
    // The end as Slurm tells it stands for the time limit of the script: nothing can be done in no time.
    let past = mock.element(&script, &[("SLURM_JOB_END_TIME", "1000000000")]).output().unwrap();
    assert_eq!(past.status.code(), Some(4), "{}", stderr(&past));
    assert_eq!(mock.calls(), ["scontrol requeue 12_0"]);

    let output = mock.element(&script, &[("SLURM_RESTART_COUNT", "1")]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("begins, for the 2. time"), "{}", stdout(&output));
    assert!(crate::sweep::logs(&mock.bench.path("runs")).contains("goes on after step"));
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
    assert!(told.contains("no scancel on PATH") && told.contains("end by themselves"), "{told}");
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

#[test]
fn a_sweep_in_the_queue_is_shown_not_submitted_twice_and_cancelled() {
    let mock = Mock::new();
    let first = mock.submit("runs", &["--workers", "3"]);
    assert_eq!(stdout(&first), "submitted job 12: 3 elements\n");
    mock.bench.write("mock/queue", "12 RUNNING\n12 PENDING\n12 PENDING\n99 RUNNING\n");
    mock.calls();
    let shown = stdout(&mock.lottery(&["status", "--store", "runs"]));
    assert!(shown.contains("slurm: 3 elements submitted (job 12), 2 queued, 1 running"), "{shown}");
    assert_eq!(mock.calls(), ["squeue --noheader --array --format=%F %T --jobs 12"]);

    refusal(
        &mock.submit("runs", &[]),
        2,
        &["2 elements are queued and 1 run", "--add-workers", "cancel grid-"],
    );
    assert!(mock.calls().iter().all(|call| !call.starts_with("sbatch")));
    let beside = mock.submit("runs", &["--add-workers", "--workers", "2"]);
    assert_eq!(stdout(&beside), "submitted job 13: 2 elements\n", "{}", stderr(&beside));
    let document = mock.lottery(&["status", "--store", "runs", "--json"]);
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    let slurm = &document["sweeps"][0]["slurm"];
    assert_eq!((&slurm["elements"], &slurm["queued"]), (&5.into(), &2.into()), "{document}");
    assert_eq!(slurm["jobs"], serde_json::json!([12, 13]));

    mock.calls();
    let cancelled = mock.lottery(&["sweep", "cancel", "grid-", "--store", "runs"]);
    assert_eq!(
        stdout(&cancelled),
        "cancelled job 12: 2 elements queued, 1 running\n",
        "{}",
        stderr(&cancelled)
    );
    assert_eq!(mock.calls()[1..], ["scancel 12"]);
    mock.bench.write("mock/queue", "");
    let again = stdout(&mock.lottery(&["sweep", "cancel", "--store", "runs"]));
    assert!(again.contains("nothing was queued or running"), "{again}");
    let shown = stdout(&mock.lottery(&["status", "--store", "runs"]));
    assert!(shown.contains("5 elements submitted (job 12, 13), cancelled, 0 queued, 0 running"), "{shown}");
    // The files of the store are enough to tell the rest.
    let words = ["status", "--store", "runs"].map(str::to_owned);
    let alone = plain(&mock.bench, &words).env("PATH", "/nowhere").output().unwrap();
    let alone = stdout(&alone);
    assert!(alone.contains("6 pending") && alone.contains("squeue does not answer here"), "{alone}");
    // What was cancelled is no reason not to submit again.
    assert_eq!(stdout(&mock.submit("runs", &["--workers", "1"])), "submitted job 14: 1 elements\n");
}

#[test]
fn what_slurm_or_its_absence_refuses_is_told_and_leaves_nothing() {
    let mock = Mock::new();
    mock.bench.write("mock/refusal", "sbatch: error: invalid partition specified: gpux\nsbatch: error: no\n");
    let refused = mock.submit("runs", &["--partition", "gpux"]);
    refusal(&refused, 2, &["sbatch refuses: invalid partition specified: gpux; no", "Nothing was submitted"]);
    assert_eq!(files(&mock.submission("runs", 1)), Vec::<PathBuf>::new());

    let grid = ["--tasks", "sst2", "--seeds", "1", "--executor", "slurm"];
    let missing = sweep(&mock.bench, "runs", &grid).env("PATH", "/nowhere").output().unwrap();
    refusal(&missing, 2, &["there is no sbatch on PATH", "--dry-run"]);
    mock.bench.write("mock/config", "MaxArraySize            = 0\n");
    refusal(&mock.submit("runs", &[]), 2, &["MaxArraySize is 0", "lottery worker"]);

    let here = ["--tasks", "sst2", "--seeds", "1"];
    for (arguments, wanted) in [
        (&["--partition", "a"][..], &["--partition means something to Slurm alone", "--executor slurm"][..]),
        (&["--add-workers"], &["--add-workers"]),
        (&["--executor", "slurm", "--fail-fast"], &["--fail-fast"]),
        (&["--executor", "slurm", "--gpus", "0,1"], &["--gpus", "--gpus-per-task"]),
        (&["--executor", "slurm", "--time", "soon"], &["time = \"soon\"", "HH:MM:SS"]),
        (&["--executor", "slurm", "--sbatch-arg=--array=1-2"], &["--array"]),
        (&["--executor", "slurm", "--time", "1", "--stop-before", "60"], &["stop_before = 60", "time = 1"]),
    ] {
        refusal(&mock.run(sweep(&mock.bench, "fresh", &[&here[..], arguments].concat())), 2, wanted);
    }
    assert!(!mock.bench.path("fresh/sweeps").exists());

    assert!(mock.run(sweep(&mock.bench, "local", &[&here[..], &["--plan"]].concat())).status.success());
    let cancel = mock.lottery(&["sweep", "cancel", "--store", "local"]);
    refusal(&cancel, 2, &["was never submitted to Slurm", "Ctrl-C", "SIGTERM"]);
}
