//! With the feature `cuda`: compiles the kernels with nvcc into one file that holds machine code for the GPUs of
//! compute capability 8.x and 9.0, and what a driver can translate for later ones. Without it: nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, exit},
};

const SOURCES: &str = "src/cuda";
/// Where scripts/cuda-toolkit.sh puts its toolkit.
const OWN_TOOLKIT: &str = "../../target/cuda-toolkit";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for source in fs::read_dir(SOURCES).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if source.extension().is_some_and(|e| e == "cu" || e == "cuh") {
            println!("cargo:rerun-if-changed={}", source.display());
        }
    }
    for name in ["NVCC", "NVCC_CCBIN", "CUDA_HOME", "CUDA_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if let Err(why) = compile() {
        eprintln!("{why}");
        exit(1);
    }
}

fn compile() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR: this program is run by cargo")?);
    let nvcc = nvcc()?;
    println!("cargo:rustc-env=LOTTERY_NVCC={}", version(&nvcc)?);
    let output = Command::new(&nvcc)
        .args(["-std=c++17", "-O3", "-fatbin", "-no-compress", "-Xptxas", "-v"])
        .args(["-gencode", "arch=compute_80,code=sm_80"])
        .args(["-gencode", "arch=compute_90,code=[sm_90,compute_90]"])
        .arg(format!("-I{SOURCES}"))
        .arg(Path::new(SOURCES).join("kernels.cu"))
        .arg("-o")
        .arg(out.join("kernels.fatbin"))
        .output()
        .map_err(|e| format!("cannot start {}: {e}", nvcc.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let remedy =
            "Where it finds no C++ compiler, install one (on Debian: g++) or name it with NVCC_CCBIN.";
        let printed = String::from_utf8_lossy(&output.stdout);
        return Err(format!("{} cannot compile the kernels:\n{printed}{said}{remedy}", nvcc.display()));
    }
    // Registers and spills of each kernel; scripts/kernel-report.sh shows them.
    let report = out.join("kernels.txt");
    fs::write(&report, &*said).map_err(|e| format!("{}: {e}", report.display()))
}

/// The compiler that NVCC names, else the one of CUDA_HOME, of CUDA_PATH, of the PATH, or of the usual folders.
fn nvcc() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("NVCC") {
        return Ok(named.into());
    }
    let of_variable = |name| env::var_os(name).map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let root = env::current_dir().unwrap_or_default();
    ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(of_variable)
        .chain(env::split_paths(&path))
        .chain([root.join(OWN_TOOLKIT).join("bin"), "/usr/local/cuda/bin".into()])
        .map(|folder| folder.join("nvcc"))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            "the feature cuda needs nvcc, which is neither in CUDA_HOME nor in the PATH. Install NVIDIA's CUDA toolkit \
             (12 or 13), or run scripts/cuda-toolkit.sh, which puts what is needed into target/cuda-toolkit; or \
             build without --features cuda."
                .into()
        })
}

/// The version of CUDA, such as 13.0.
fn version(nvcc: &Path) -> Result<String, String> {
    let output = Command::new(nvcc)
        .arg("--version")
        .output()
        .map_err(|e| format!("cannot start {}: {e}", nvcc.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let after = text.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    after.map(str::to_owned).ok_or_else(|| format!("{} --version says {text:?}", nvcc.display()))
}
