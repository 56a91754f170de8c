//! The kernels as a library for the host, compiled against `tests/emulation`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The library of the kernels that this file of `tests/emulation` includes, or why there is none. Compiles once for
/// each state of the sources (this one too); several processes may do so at a time.
///
/// The sanitizers that `LOTTERY_SANITIZE` names look at the kernels alone, not at what runs them. The library of `thread`
/// is not used: races.cpp takes its place.
pub fn compiled(module: &str) -> Result<PathBuf, String> {
    if !root().join("tests/emulation").exists() {
        return Err("the kernels' sources are not here".into());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let names = std::env::var("LOTTERY_SANITIZE").unwrap_or_default();
    let mut flags = vec!["-std=c++17".to_owned()];
    flags.extend(
        ["-O2", "-g", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-sanitize-recover"]
            .map(String::from),
    );
    flags.extend(["-Wall", "-Wextra", "-Werror"].map(String::from));
    let names = names.split(',').filter(|name| !name.is_empty());
    flags.extend(names.clone().map(|name| format!("-DSANITIZE_{name}")));
    let sanitizers: Vec<String> = names.map(|name| format!("-fsanitize={name}")).collect();

    let mut hasher = blake3::Hasher::new();
    let options = [include_str!("compiled.rs"), &compiler, module]
        .into_iter()
        .chain(flags.iter().chain(&sanitizers).map(String::as_str));
    options.for_each(|option| _ = hasher.update(option.as_bytes()).update(b"\n"));
    for path in sources() {
        hasher.update(&fs::read(path).unwrap());
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join(format!("kernels-{}.so", &hasher.finalize().to_hex()[..16]));
    if path.exists() {
        return Ok(path);
    }
    // The program may run elsewhere than where it was built.
    fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let own = tempfile::tempdir_in(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let emulation = root().join("tests/emulation");
    let run = |arguments: &[String]| {
        let mut command = Command::new(&compiler);
        // A sanitizer's library that is loaded before all others is meant for this process, not for the compiler.
        command.env_remove("LD_PRELOAD").current_dir(own.path()).args(&flags);
        command.arg(format!("-I{}", emulation.display()));
        command.arg(format!("-I{}", root().join("crates/ops/src/cuda").display()));
        let output = command
            .args(arguments)
            .output()
            .map_err(|e| format!("{compiler}: {e}; install a C++ compiler, or name one with CXX"))?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok::<(), String>(())
    };
    let source = |name: &str| emulation.join(name).display().to_string();
    let with = |flags: &[String], last: &[&str]| -> Vec<String> {
        flags.iter().cloned().chain(last.iter().map(|&s| s.to_owned())).collect()
    };
    run(&["-c".into(), source("scheduler.cpp"), source("device.cpp"), source("races.cpp")])?;
    run(&with(&sanitizers, &["-c", &source(module), "-o", "module.o"]))?;
    let libraries: Vec<String> = sanitizers.into_iter().filter(|flag| flag != "-fsanitize=thread").collect();
    let objects = ["module.o", "scheduler.o", "device.o", "races.o"];
    run(&with(
        &libraries,
        &[&objects[..], &["-shared", "-Wl,-Bsymbolic", "-ldl", "-o", "kernels.so"]].concat(),
    ))?;
    fs::rename(own.path().join("kernels.so"), &path).unwrap();
    Ok(path)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["crates/ops/src/cuda", "tests/emulation"]
        .iter()
        .flat_map(|dir| fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e != "rs"))
        .collect();
    all.sort();
    all
}
