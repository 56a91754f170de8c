//! Several runs on one machine: together they use its cores, and each as many threads as it was told.

use std::{
    fs,
    io::BufReader,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    fixture::{Bench, files, json_file, stderr},
    output::plain,
    processes::{has, read_until, signal, wait_until},
    sweep::{document, runs},
};

/// Where the processes of a test find each other, and no others.
const FOLDER: &str = "share";

fn cores() -> usize {
    available_parallelism().unwrap().get()
}

/// `lottery run` in this store, without a number of threads unless these arguments give one; it shares its cores.
fn run(bench: &Bench, store: &str, arguments: &[&str]) -> Command {
    let words = ["run", "--task", "sst2", "--model", "model", "--data", "glue", "--store", store, "--json"];
    let sets = ["--set", "data.max_length=32"];
    let words: Vec<String> =
        words.into_iter().chain(sets).chain(arguments.iter().copied()).map(str::to_owned).collect();
    let mut command = plain(bench, &words);
    command.env("LOTTERY_SHARE_DIR", bench.path(FOLDER)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that computes until it is ended, and goes with the test.
struct Endless(Child);

impl Endless {
    fn start(command: &mut Command) -> Self {
        // Single examples a step, so that no machine comes to an end of them.
        let sets = ["train.epochs=100000", "train.batch_size=1", "run.checkpoint_every=3600"];
        let command = command.args(sets.iter().flat_map(|set| ["--set", set]));
        Self(command.spawn().unwrap())
    }

    /// The threads that compute, and those that do not.
    fn threads(&self) -> (usize, Vec<String>) {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        let (compute, others): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with("compute "));
        (compute.len(), others)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks until these processes have so many threads.
fn until_threads(processes: &[&Endless], wanted: impl Fn(&[usize]) -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let threads: Vec<usize> = processes.iter().map(|process| process.threads().0).collect();
        if wanted(&threads) {
            return;
        }
        assert!(Instant::now() < patience, "{threads:?} threads on {} cores", cores());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until_said(process: &mut Endless, wanted: &str) -> BufReader<std::process::ChildStderr> {
    let mut lines = BufReader::new(process.0.stderr.take().unwrap());
    read_until(&mut lines, wanted);
    lines
}

fn doctor(bench: &Bench) -> Command {
    let mut command = plain(bench, &["doctor".to_owned()]);
    command.env("LOTTERY_SHARE_DIR", bench.path(FOLDER)).stdout(Stdio::piped());
    command
}

/// What the doctor says of threads.
fn told(doctor: &mut Command) -> String {
    let output = doctor.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("threads"));
    line.unwrap().trim().to_owned()
}

#[test]
fn runs_share_the_cores_and_whoever_is_left_takes_them_again() {
    let bench = Bench::new("SST-2");
    let all = cores();
    let mut free = Endless::start(&mut run(&bench, "free", &[]));
    until_threads(&[&free], |threads| threads == [all]);
    // One that was told, from another terminal.
    let exact = Endless::start(&mut run(&bench, "exact", &["--threads", "1"]));
    let left = (all - 1).max(1);
    until_threads(&[&free, &exact], |threads| threads == [left, 1]);
    let mut late = Endless::start(&mut run(&bench, "late", &[]));
    let shared = |threads: &[usize]| {
        threads[0] + threads[1] == left.max(2) && threads[0].abs_diff(threads[1]) <= 1 && threads[2] == 1
    };
    until_threads(&[&free, &late, &exact], shared);
    drop(until_said(&mut late, &format!("of {all} cores: 2 other processes compute here")));
    assert!(told(&mut doctor(&bench)).ends_with(&format!(" of {all} cores: 3 other processes compute here")));

    late.kill();
    until_threads(&[&free], |threads| threads == [left]);
    exact.kill();
    until_threads(&[&free], |threads| threads == [all]);
    assert_eq!(files(&bench.path(FOLDER)).len(), 1, "what the killed ones left is removed");
    signal(&free.0, libc::SIGTERM);
    assert_eq!(free.0.wait().unwrap().code(), Some(4));
    assert_eq!(files(&bench.path(FOLDER)).len(), 0);
    assert_eq!(told(&mut doctor(&bench)), all.to_string());
}

#[test]
fn a_number_of_threads_is_exact_whoever_else_computes_and_nothing_computes_beside_them() {
    let bench = Bench::new("SST-2");
    let mut three = Endless::start(&mut run(&bench, "three", &["--threads", "3"]));
    let mut five = Endless::start(&mut run(&bench, "five", &["--set", "run.threads=5"]));
    for (process, threads) in [(&mut three, 3), (&mut five, 5)] {
        drop(until_said(process, "training and 48 development examples"));
        for _ in 0..20 {
            let (computing, others) = process.threads();
            assert_eq!(computing, threads);
            // The main one, one for signals, one for leases, and what would compute what forgot to ask.
            assert!(others.len() <= 4, "{others:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(told(&mut doctor(&bench)).starts_with(&format!("{} of ", cores().saturating_sub(8).max(1))));
}

#[test]
fn whoever_waits_for_another_leaves_it_the_cores() {
    let bench = Bench::new("SST-2");
    let mut first = Endless::start(&mut run(&bench, "runs", &[]));
    until_threads(&[&first], |threads| threads == [cores()]);
    assert!(wait_until(&mut first.0, || has(&bench.path("runs"), "finetune", None)));
    let mut second = Endless::start(&mut run(&bench, "runs", &[]));
    drop(until_said(&mut second, "waiting for another process that is computing it"));
    let patience = Instant::now() + Duration::from_secs(60);
    while files(&bench.path(FOLDER)).len() > 1 {
        assert!(Instant::now() < patience, "both claim cores");
        std::thread::sleep(Duration::from_millis(10));
    }
    until_threads(&[&first], |threads| threads == [cores()]);
    first.kill();
    until_threads(&[&second], |threads| threads == [cores()]);
    while !told(&mut doctor(&bench)).ends_with("1 other process computes here") {
        assert!(Instant::now() < patience, "whoever computes in its place claims nothing");
    }
}

/// Each on a core of its own, as Slurm binds its jobs.
#[test]
fn processes_that_are_bound_to_other_cores_do_not_count() {
    let bench = Bench::new("SST-2");
    // SAFETY: the set is a plain array of bits, and the calls write or read it within its size.
    let allowed: Vec<usize> = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &mut set), 0);
        (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &set)).collect()
    };
    let [first, second, ..] = allowed[..] else {
        eprintln!("skipped: processes_that_are_bound_to_other_cores_do_not_count (one core)");
        return;
    };
    let bind = |command: &mut Command, core: usize| {
        // SAFETY: as above, and sched_setaffinity may be called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(core, &mut set);
                match libc::sched_setaffinity(0, size_of_val(&set), &set) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
    };
    let mut command = run(&bench, "bound", &[]);
    bind(&mut command, first);
    let bound = Endless::start(&mut command);
    until_threads(&[&bound], |threads| threads == [1]);
    let [beside, elsewhere] = [first, second].map(|core| {
        let mut doctor = doctor(&bench);
        bind(&mut doctor, core);
        told(&mut doctor)
    });
    assert_eq!(beside, "1 of 1 cores: 1 other process computes here");
    assert_eq!(elsewhere, "1");
}

#[test]
fn where_processes_cannot_be_counted_a_run_takes_all_cores_and_says_nothing() {
    let bench = Bench::new("SST-2");
    bench.write("file", "");
    let short = &["--mode", "full", "--set", "train.epochs=1", "--set", "data.train_limit=16"];
    let record = |store: &str, folder: &Path, more: &[&str]| -> (Value, String) {
        let mut command = run(&bench, store, &[short, more].concat());
        let output = command.env("LOTTERY_SHARE_DIR", folder).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (serde_json::from_slice(&output.stdout).unwrap(), stderr(&output))
    };
    let (usual, _) = record("usual", &bench.path(FOLDER), &["--threads", "1"]);
    for (store, folder) in [("a-file", "file"), ("missing", "missing/below"), ("nowhere", "")] {
        let folder = if folder.is_empty() { Path::new("").to_owned() } else { bench.path(folder) };
        let (record, said) = record(store, &folder, &[]);
        assert_eq!(record["device"]["threads"], cores(), "{store}");
        for key in ["full", "pruned", "retrained", "ticket", "stages"] {
            assert_eq!(record[key], usual[key], "{store}: {key}");
        }
        assert!(!said.contains("computing on"), "{said}");
    }
    let said = told(doctor(&bench).env("LOTTERY_SHARE_DIR", bench.path("file")));
    assert!(said.starts_with(&format!("{} (other runs cannot be counted: ", cores())), "{said}");
}

#[test]
fn the_runs_of_a_sweep_share_and_divide_the_cores_by_number_where_they_cannot_be_counted() {
    let bench = Bench::new("SST-2");
    let line = "sweep --model model --data glue --tasks sst2 --modes full --seeds 1,2 --jobs 2 --json \
                --set data.train_limit=16 --set data.max_length=32 --store";
    bench.write("file", "");
    for (store, folder) in [("counted", FOLDER), ("uncounted", "file/below")] {
        let words: Vec<String> = line.split_whitespace().chain([store]).map(str::to_owned).collect();
        let mut command = plain(&bench, &words);
        let output = command.env("LOTTERY_SHARE_DIR", bench.path(folder)).output().unwrap();
        let document = document(&output);
        assert_eq!(runs(&document).len(), 2);
        for run in runs(&document) {
            let record = json_file(&bench.root.path().join(run["record"].as_str().unwrap()));
            let threads = record["device"]["threads"].as_u64().unwrap() as usize;
            match store {
                "counted" => assert!((1..=cores()).contains(&threads), "{threads}"),
                _ => assert_eq!(threads, (cores() / 2).max(1)),
            }
        }
    }
    assert_eq!(files(&bench.path(FOLDER)).len(), 0);
}
