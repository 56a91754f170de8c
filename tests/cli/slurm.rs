//! `lottery sweep --executor slurm` and `lottery sweep cancel` with commands in Slurm's place.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    fixture::{Bench, files, json_file, refusal, stderr},
    output::plain,
    sweep::sweep,
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

pub struct Mock {
    pub bench: Bench,
}

impl Mock {
    pub fn new() -> Self {
        let bench = Bench::new("SST-2");
        bench.write("mock/config", "Configuration data as of now\nMaxArraySize            = 4\n");
        bench.write("mock/queue", "");
        bench.write("mock/calls", "");
        for (name, body) in COMMANDS {
            let mock = bench.path("mock");
            let head = format!(
                "#!/bin/bash\nmock={}\necho \"{name} $*\" >> \"$mock/calls\"\nenv > \"$mock/env-{name}\"\n",
                mock.display()
            );
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
    pub fn submit(&self, store: &str, arguments: &[&str]) -> Output {
        let grid = ["--tasks", "sst2", "--modes", "good,bad", "--seeds", "1,2,3", "--executor", "slurm"];
        self.run(sweep(&self.bench, store, &[&grid, arguments].concat()))
    }

    pub fn lottery(&self, words: &[&str]) -> Output {
        self.run(plain(&self.bench, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()))
    }

    pub fn run(&self, mut command: Command) -> Output {
        command.env("PATH", self.path()).output().unwrap()
    }

    /// How Slurm's commands were called since the last time.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.bench.path("mock/calls")).unwrap();
        self.bench.write("mock/calls", "");
        calls.lines().map(str::to_owned).collect()
    }

    /// The folder of a submission of the only sweep.
    pub fn submission(&self, store: &str, number: u32) -> PathBuf {
        let mut sweeps = fs::read_dir(self.bench.path(store).join("sweeps")).unwrap();
        sweeps.next().unwrap().unwrap().path().join(format!("slurm/{number}"))
    }

    /// A script as element 0 of job 12.
    pub fn element(&self, script: &Path, environment: &[(&str, &str)]) -> Command {
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

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The lines that sbatch reads.
pub fn directives(script: &str) -> Vec<&str> {
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
    assert!(said.contains("6 to do: 3 elements in 1 array; nothing submitted"), "{said}");
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
    assert!(stdout(&kept).contains("\nworker_args=(--keep tickets)\n"), "{}", stdout(&kept));
    assert!(script.contains("\nworker_args=()\n"), "{script}");
    // Where the file is executed here, what it says of Slurm says nothing.
    let here = mock.run(sweep(&mock.bench, "runs", &["grid.toml", "--dry-run"]));
    assert!(
        stdout(&here).contains("6 runs = 2 modes × 3 seeds: 0 already done, 6 to do"),
        "{}",
        stderr(&here)
    );
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
        &["2 elements queued and 1 running", "--add-workers", "cancel grid-"],
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
    assert_eq!(stdout(&mock.submit("runs", &["--workers", "1"])), "submitted job 14: 1 element\n");
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
    refusal(&missing, 2, &["sbatch is not on PATH", "--dry-run"]);
    mock.bench.write("mock/config", "MaxArraySize            = 0\n");
    refusal(&mock.submit("runs", &[]), 2, &["MaxArraySize is 0", "lottery worker"]);

    let here = ["--tasks", "sst2", "--seeds", "1"];
    for (arguments, wanted) in [
        (&["--partition", "a"][..], &["--partition needs --executor slurm", "--executor slurm"][..]),
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
    assert!(stdout(&cancel).contains("nothing was queued or running"), "{}", stderr(&cancel));
}

#[test]
fn options_of_the_job_around_a_submission_do_not_reach_it() {
    let mock = Mock::new();
    let caller = [
        ("SBATCH_PARTITION", "gone"),
        ("SBATCH_TIMELIMIT", "1"),
        ("SLURM_CLUSTERS", "other"),
        ("SLURM_JOB_ID", "7"),
        ("SLURM_JOB_END_TIME", "1"),
        ("SLURM_CPUS_PER_TASK", "64"),
        ("SLURM_MEM_PER_NODE", "1"),
        ("SLURM_RESTART_COUNT", "3"),
        ("SLURMD_NODENAME", "n7"),
        ("SRUN_DEBUG", "3"),
        ("SALLOC_QOS", "x"),
        ("SQUEUE_FORMAT2", "jobid"),
        ("SQUEUE_STATES", "COMPLETED"),
        ("SCANCEL_INTERACTIVE", "1"),
        ("SCONTROL_ALL", "1"),
    ];
    let kept =
        [("SLURM_CONF", "/etc/slurm/slurm.conf"), ("SLURM_JWT", "token"), ("CUDA_VISIBLE_DEVICES", "1")];
    let inside = |words: &[&str]| {
        let mut command =
            plain(&mock.bench, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        command.envs(caller).envs(kept);
        mock.run(command)
    };
    let submit =
        ["--tasks", "sst2", "--model", "model", "--data", "glue", "--store", "runs", "--executor", "slurm"];
    let output = inside(&[&["sweep"][..], &submit].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let unused = "ignored for this submission: SBATCH_PARTITION, SBATCH_TIMELIMIT, SLURM_CLUSTERS. Give options as flags";
    assert!(said.contains(unused), "{said}");
    mock.bench.write("mock/queue", "12 RUNNING\n");
    assert!(stdout(&inside(&["status", "--store", "runs"])).contains("1 running"), "squeue is understood");
    assert!(inside(&["sweep", "cancel", "--store", "runs"]).status.success());
    for program in ["sbatch", "scontrol", "squeue", "scancel"] {
        let seen = fs::read_to_string(mock.bench.path(&format!("mock/env-{program}"))).unwrap();
        let has = |name: &str| seen.lines().any(|line| line.starts_with(&format!("{name}=")));
        for (name, _) in caller {
            assert!(!has(name), "{program} sees {name}");
        }
        for (name, value) in kept {
            assert!(seen.lines().any(|line| line == format!("{name}={value}")), "{program} misses {name}");
        }
    }
    // Outside of a job there is nothing to say.
    assert!(!stderr(&mock.submit("other", &[])).contains("not used"));
}
