//! Clocks that jump: nothing that is computed or decided may depend on what time it is said to be.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    fixture::{Bench, files, stderr},
    processes::{has, wait_until},
    sweep::{all_done, outcomes, sweep},
    sweep_kills::kill_with_all_runs,
};

/// Stands before the C library's clock: the time of day leaps by up to years, forwards and backwards, at every call.
const JUMPING: &str = r#"
    use std::sync::atomic::{AtomicUsize, Ordering};
    #[repr(C)]
    pub struct Time { seconds: i64, nanoseconds: i64 }
    unsafe extern "C" { fn syscall(number: i64, ...) -> i64; }
    const LEAPS: [i64; 6] = [0, 86_400, -86_400, 700_000_000, -900_000_000, 1];
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn clock_gettime(clock: i32, time: *mut Time) -> i32 {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let number = if cfg!(target_arch = "x86_64") { 228 } else { 113 };
        let code = unsafe { syscall(number, clock, time) };
        if clock == 0 && code == 0 {
            let leap = LEAPS[CALLS.fetch_add(1, Ordering::Relaxed) % LEAPS.len()];
            unsafe { (*time).seconds += leap };
        }
        code as i32
    }
"#;

/// The library with that clock, made by the compiler that made this test.
fn jumping_clock(bench: &Bench) -> PathBuf {
    bench.write("clock.rs", JUMPING);
    let library = bench.path("libclock.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=cdylib", "-Copt-level=1", "-o"])
        .args([&library, &bench.path("clock.rs")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    library
}

const GRID: &[&str] = &[
    "--tasks",
    "sst2",
    "--modes",
    "good,random",
    "--set",
    "train.epochs=6",
    "--set",
    "run.checkpoint_every=0",
    "--jobs",
    "2",
];

fn start(bench: &Bench, library: &Path) -> Child {
    let mut command = sweep(bench, "jumping", GRID);
    command.env("LD_PRELOAD", library).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// When the events happened, as their processes believed.
fn times(events: &Path) -> Vec<f64> {
    let lines = files(events).into_iter().map(|path| fs::read_to_string(events.join(path)).unwrap());
    let text: String = lines.collect();
    let time = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["time"].as_f64();
    text.lines().filter_map(time).collect()
}

#[test]
fn a_sweep_that_is_killed_and_resumed_under_a_jumping_clock_has_the_same_records() {
    let bench = Bench::new("SST-2");
    let library = jumping_clock(&bench);
    all_done(&bench, "steady", GRID);
    let dir = bench.path("jumping");
    for kill in 0..3 {
        let mut child = start(&bench, &library);
        assert!(wait_until(&mut child, || has(&dir, "finetune", Some("checkpoint"))));
        std::thread::sleep(Duration::from_millis(kill * 50));
        kill_with_all_runs(child, &dir);
    }
    let output = start(&bench, &library).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(outcomes(&dir), outcomes(&bench.path("steady")));
    let days: Vec<i64> = times(&dir.join("events")).iter().map(|time| (time / 86_400.0) as i64).collect();
    assert!(
        days.iter().max().unwrap() - days.iter().min().unwrap() > 10_000,
        "the clock stood still: {days:?}"
    );
}
