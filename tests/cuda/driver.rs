//! `ops::cuda::driver` on the device of this machine; where there is none, on NVIDIA's libraries as
//! `tests/emulation/driver` has them, over the emulation.

use std::{
    ffi::c_void,
    fs,
    path::{Path, PathBuf},
    process::Command,
    ptr::null_mut,
    rc::Rc,
    sync::OnceLock,
};

use cudarc::driver::sys::{self, CUresult};
use libloading::{Library, Symbol};
use lottery::{
    error::Result,
    ops::cuda::{Gpu, driver::Driver},
};

use crate::emulated::Emulated;

/// A driver, or why there is none to test.
pub fn driver() -> std::result::Result<Rc<dyn Gpu>, String> {
    static LIBRARIES: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    LIBRARIES.get_or_init(libraries).clone()?;
    Ok(Rc::new(Driver::open(0).unwrap()))
}

/// The device of this machine.
pub fn own_device() -> Rc<dyn Gpu> {
    assert!(own_driver(), "LOTTERY_TEST_ON=device, and this machine has no driver");
    Rc::new(Driver::open(0).unwrap())
}

/// Whether this machine has a driver of its own; first asked before there is an emulated one.
fn own_driver() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let found = || {
        ["libcuda.so", "libcuda.so.1"].iter().any(|name| {
            // SAFETY: the initialisers of NVIDIA's driver run, or there is none.
            unsafe { Library::new(*name) }.is_ok()
        })
    };
    *FOUND.get_or_init(found)
}

/// The folder of the emulated libraries, unless they would stand behind the machine's own.
fn emulated_machine(test: &str) -> Option<PathBuf> {
    if own_driver() {
        eprintln!("skipped: {test}: this machine has a driver of its own");
        return None;
    }
    emulated_libraries().map_err(|why| eprintln!("skipped: {test}: {why}")).ok()
}

/// Sees to it that the names of NVIDIA's libraries lead somewhere: a library that is open is found by its name.
fn libraries() -> std::result::Result<(), String> {
    if own_driver() {
        return Ok(());
    }
    let emulated = Emulated::new()?;
    let dir = emulated_libraries()?;
    for name in ["libcuda.so.1", "libcublasLt.so.13"] {
        // SAFETY: they were compiled from this repository's sources.
        let library = unsafe { Library::new(dir.join(name)) }.map_err(|e| e.to_string())?;
        if name == "libcuda.so.1" {
            let [allocate, free, launch, parameters] = ["allocate", "free", "launch", "parameters"]
                .map(|name| emulated.function(&format!("emulation_{name}")));
            type Function = *const c_void;
            // SAFETY: this is how cuda.cpp declares it.
            unsafe {
                let uses: Symbol<unsafe extern "C" fn(Function, Function, Function, Function)> =
                    library.get("emulated_cuda_uses").unwrap();
                uses(allocate, free, launch, parameters);
            }
        }
        std::mem::forget(library);
    }
    Ok(())
}

/// The folder of the two libraries, which is made once for each state of the sources.
fn emulated_libraries() -> std::result::Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulation/driver");
    let mut hasher = blake3::Hasher::new();
    for name in ["cuda.cpp", "image.h", "cublaslt.cpp"] {
        hasher.update(&fs::read(sources.join(name)).map_err(|e| e.to_string())?);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = target.join(format!("driver-{}", &hasher.finalize().to_hex()[..16]));
    if dir.exists() {
        return Ok(dir);
    }
    fs::create_dir_all(target).map_err(|e| format!("{}: {e}", target.display()))?;
    let own = tempfile::tempdir_in(target).map_err(|e| format!("{}: {e}", target.display()))?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let compile = |source: &str, library: &str, others: &[&str]| {
        let output = Command::new(&compiler)
            .args(["-std=c++17", "-O3", "-g", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"])
            .arg(sources.join(source))
            .args(others)
            .args([&format!("-Wl,-soname,{library}"), "-Wl,-rpath,$ORIGIN", "-o", library])
            .current_dir(own.path())
            .output()
            .map_err(|e| format!("{compiler}: {e}; install a C++ compiler, or name one with CXX"))?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok::<_, String>(())
    };
    compile("cuda.cpp", "libcuda.so.1", &[])?;
    compile("cublaslt.cpp", "libcublasLt.so.13", &["./libcuda.so.1"])?;
    // Another process may have been quicker.
    if fs::rename(own.path(), &dir).is_err() && !dir.exists() {
        return Err(format!("{} cannot be made", dir.display()));
    }
    Ok(dir)
}

/// This test program again, on a machine of its own with the libraries of a folder: what its device `ordinal` says.
fn on_a_machine(libraries: &str, ordinal: usize, settings: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "driver::says_what_becomes_of_it", "--nocapture"])
        .env("LD_LIBRARY_PATH", libraries)
        .env("LOTTERY_TEST_DEVICE", ordinal.to_string())
        .envs(settings.iter().map(|(name, value)| (format!("EMULATED_CUDA_{name}"), value)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.split_once("said: "));
    said.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[test]
fn says_what_becomes_of_it() {
    let Ok(ordinal) = std::env::var("LOTTERY_TEST_DEVICE") else { return };
    let outcome = || -> Result<String> {
        let gpu = Driver::open(ordinal.parse().unwrap())?;
        gpu.wait()?;
        Ok(gpu.description())
    };
    println!("said: {}", outcome().unwrap_or_else(|error| format!("{} {error}", error.exit_code())));
}

#[test]
fn what_cannot_be_used_is_told_with_what_helps() {
    let Some(dir) = emulated_machine("what cannot be used") else { return };
    let dir = dir.to_str().unwrap();
    type Settings = &'static [(&'static str, &'static str)];
    let cases: &[(usize, Settings, &str)] = &[
        (
            3,
            &[("DEVICES", "2")],
            "2 cuda:3: this machine has 2 devices; choose one, counting from 0, or use --device cpu",
        ),
        (1, &[], "2 cuda:1: this machine has 1 device; choose one, counting from 0, or use --device cpu"),
        (
            0,
            &[("CAPABILITY", "75")],
            "2 cuda:0: Emulated GPU, compute capability 7.5, driver 13.0: the kernels need compute capability 8.0; choose \
             another device, or use --device cpu",
        ),
        (
            0,
            &[("VERSION", "11040")],
            "2 cuda:0: the NVIDIA driver is too old: it knows CUDA 11.4, and at least 12.0 is needed; install a newer \
             driver, or use --device cpu",
        ),
        (
            0,
            &[("FAILS", "700")],
            "1 cuda:0 (Emulated GPU) cannot finish what it was given: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access \
             was encountered). See nvidia-smi, and dmesg for lines with Xid. Start the same command again: it goes on \
             from the last checkpoint.",
        ),
        (0, &[("POOLS", "0"), ("VERSION", "12040")], "Emulated GPU, compute capability 9.0, driver 12.4"),
    ];
    for (ordinal, settings, expected) in cases {
        assert_eq!(on_a_machine(dir, *ordinal, settings), *expected);
    }
    let none = on_a_machine(dir, 0, &[("DEVICES", "0")]);
    assert!(none.contains("the NVIDIA driver does not start: CUDA_ERROR_NO_DEVICE; "), "{none}");
    let text = "2 cuda:0: no NVIDIA driver: libcuda.so.1 cannot be opened (libcuda.so.1: cannot open shared object file: \
                No such file or directory); install NVIDIA's driver, or use --device cpu";
    assert_eq!(on_a_machine("", 0, &[]), text);
}

#[test]
fn the_doctor_lists_the_devices() {
    let Some(dir) = emulated_machine("the doctor") else { return };
    let doctor = |settings: &[(&str, &str)]| {
        let mut command = assert_cmd::Command::cargo_bin("lottery").unwrap();
        let output = command.arg("doctor").envs(settings.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = dir.to_str().unwrap();
    let text = doctor(&[("LD_LIBRARY_PATH", dir), ("EMULATED_CUDA_DEVICES", "2")]);
    for ordinal in [0, 1] {
        let line = format!("cuda:{ordinal}    Emulated GPU, compute capability 9.0, driver 13.0, 1.00 GiB\n");
        assert!(text.contains(&line), "{text}");
    }
    assert!(text.contains("cublas    found\n"), "{text}");
    let text = doctor(&[("LD_LIBRARY_PATH", "")]);
    assert!(text.contains("devices   no NVIDIA driver: libcuda.so.1 cannot be opened"), "{text}");
}

/// The libraries are the emulated ones, or the device would be the machine's own.
#[test]
fn does_something_too_early() {
    let Ok(what) = std::env::var("LOTTERY_TOO_EARLY") else { return };
    libraries().unwrap();
    let (mut context, mut stream, mut host, mut at) = (null_mut(), null_mut(), null_mut(), 0);
    let bytes = 64;
    // SAFETY: each call has room for what it writes, and the emulation ends the process before memory is misused.
    unsafe {
        let done = |code: CUresult| assert_eq!(code, CUresult::CUDA_SUCCESS);
        done(sys::cuInit(0));
        done(sys::cuDevicePrimaryCtxRetain(&raw mut context, 0));
        done(sys::cuCtxSetCurrent(context));
        done(sys::cuStreamCreate(&raw mut stream, 1));
        done(sys::cuMemHostAlloc(&raw mut host, bytes, 0));
        host.write_bytes(0, bytes);
        done(sys::cuMemAlloc_v2(&raw mut at, bytes));
        done(sys::cuMemcpyHtoDAsync_v2(at, host, bytes, stream));
        match what.as_str() {
            "change" => host.cast::<u8>().write(1),
            "free host" => done(sys::cuMemFreeHost(host)),
            "free" => done(sys::cuMemFree_v2(at)),
            "read" => {
                done(sys::cuStreamSynchronize(stream));
                done(sys::cuMemcpyDtoHAsync_v2(host, at, bytes, stream));
                assert!(host.cast::<f32>().read().is_nan());
                done(sys::cuStreamSynchronize(stream));
                assert_eq!(host.cast::<f32>().read(), 0.0);
            }
            _ => {}
        }
        done(sys::cuStreamSynchronize(stream));
        if what != "free host" {
            done(sys::cuMemFreeHost(host));
        }
    }
}

#[test]
fn what_is_done_too_early_is_noticed() {
    if emulated_machine("what is done too early").is_none() {
        return;
    }
    for (what, told) in [
        ("nothing", None),
        ("read", None),
        ("change", Some("memory of the host was changed before its use")),
        ("free host", Some("memory of the host was given back before its use")),
        ("free", Some("memory of the device was given back before its use")),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "driver::does_something_too_early", "--nocapture"])
            .env("LOTTERY_TOO_EARLY", what)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), told.is_none(), "{what}: {said}");
        assert!(told.is_none_or(|told| said.contains(told)), "{what}: {said}");
    }
}

#[test]
fn shared_memory_is_asked_for_however_the_driver_counts_what_a_kernel_has() {
    if emulated_machine("shared memory").is_none() {
        return;
    }
    for (reduced, capability) in [("0", "90"), ("1", "90"), ("0", "86")] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "device::a_kernel_may_have_much_shared_memory_and_none_runs_without_blocks"])
            .envs([("LOTTERY_TEST_ON", "driver"), ("EMULATED_CUDA_REDUCED", reduced)])
            .env("EMULATED_CUDA_CAPABILITY", capability)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{reduced} {capability}: {said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}
