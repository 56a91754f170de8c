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
use lottery::ops::cuda::{Gpu, driver::Driver};

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
pub fn emulated_machine(test: &str) -> Option<PathBuf> {
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

/// The folder of the libraries, two versions of cuBLASLt among them, which is made once for each state of the sources.
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
    for major in ["12", "13"] {
        let library = format!("libcublasLt.so.{major}");
        compile("cublaslt.cpp", &library, &["./libcuda.so.1", &format!("-DMAJOR={major}")])?;
    }
    // Another process may have been quicker.
    if fs::rename(own.path(), &dir).is_err() && !dir.exists() {
        return Err(format!("{} cannot be made", dir.display()));
    }
    Ok(dir)
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
