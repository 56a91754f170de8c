//! That wrong kernels are noticed: by the emulation itself, or by the sanitizer that LOTTERY_SANITIZE names
//! (scripts/sanitize-kernels.sh). What ends the process does so in a child.

use std::{env, io::Write, process::Command, rc::Rc};

use lottery::ops::cuda::{Argument, Format, Gpu, Grid};

use crate::{
    emulated::Emulated,
    support::{empty, values},
};

/// The kernels of `tests/emulation/bugs.cu`, the sanitizer that sees each bug, and what is then said.
const BUGS: [(&str, &str, &str); 11] = [
    ("bug_no_barrier", "thread", "data race in"),
    ("bug_no_second_barrier", "thread", "data race in"),
    ("bug_exchange_as_barrier", "thread", "data race in"),
    ("bug_blocks_in_one_place", "thread", "data race in"),
    ("bug_past_the_end", "address", "AddressSanitizer: heap-buffer-overflow"),
    ("bug_past_shared", "address", "AddressSanitizer: heap-buffer-overflow"),
    ("bug_not_aligned", "undefined", "misaligned address"),
    ("bug_different_places", "", "threads wait for others at different places"),
    ("bug_ended_lane", "", "a lane reads from one that takes no part"),
    ("bug_large_array", "", "no device has that much shared memory"),
    ("bug_no_room", "", "no device has that much shared memory"),
];

fn skipped(kernel: &str, why: &str) {
    std::io::stderr().write_all(format!("skipped: {kernel}: {why}\n").as_bytes()).unwrap();
}

/// What a bug's kernel leaves: the numbers of its 128 threads and two of its own. None without a compiler.
fn launch(kernel: &str, wrong: bool) -> Option<Vec<f32>> {
    if env::var("LOTTERY_TEST_ON").is_ok_and(|on| on == "device") {
        skipped(kernel, "the tests are about a device, the bugs are for its emulation");
        return None;
    }
    let gpu: Rc<dyn Gpu> = match Emulated::with_bugs() {
        Ok(gpu) => Rc::new(gpu),
        Err(why) => {
            skipped(kernel, &why);
            return None;
        }
    };
    let out = empty(&gpu, 130, Format::F32).unwrap();
    let arguments = [Argument::Address(out.address()), Argument::U32(u32::from(wrong))];
    let shared = if kernel == "bug_no_room" { 227 << 10 } else { 0 };
    gpu.launch(kernel, Grid { shared, ..Grid::new(2, 64) }, &arguments).unwrap();
    Some(values(&gpu, &out, 128, Format::F32).unwrap())
}

#[test]
fn kernels_without_their_bugs_do_what_they_should() {
    let numbers: Vec<f32> = (0..128u8).map(f32::from).collect();
    for (kernel, ..) in BUGS {
        if let Some(found) = launch(kernel, false) {
            assert_eq!(found, numbers, "{kernel}");
        }
    }
}

/// In a child of the test below, which names the kernel.
#[test]
fn bug() {
    if let Ok(kernel) = env::var("LOTTERY_BUG") {
        launch(&kernel, true);
    }
}

#[test]
fn bugs_are_reported() {
    if launch(BUGS[0].0, false).is_none() {
        return;
    }
    let active = env::var("LOTTERY_SANITIZE").unwrap_or_default();
    for (kernel, sanitizer, report) in BUGS {
        if !sanitizer.is_empty() && !active.split(',').any(|name| name == sanitizer) {
            continue;
        }
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sanitizers::bug", "--nocapture", "--test-threads=1"])
            .env("LOTTERY_BUG", kernel)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(!child.status.success(), "{kernel} passed: {said}");
        assert!(said.contains(report), "{kernel}: {said}");
        assert!(
            sanitizer.is_empty() || said.contains(kernel) || sanitizer == "undefined",
            "{kernel} is not named: {said}"
        );
    }
}
