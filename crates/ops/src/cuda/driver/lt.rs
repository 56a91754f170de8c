//! Choosing and opening libcublasLt, and its functions. The choice matters: the library of a later CUDA than the
//! driver's does not start, and another version may give different bits.
#![allow(non_snake_case, clippy::too_many_arguments)]

use std::{
    ffi::{c_int, c_void},
    fs,
    path::PathBuf,
    sync::OnceLock,
};

use cudarc::cublaslt::sys::{
    cublasComputeType_t as Compute, cublasLtHandle_t as Handle, cublasLtMatmulAlgo_t as Algorithm,
    cublasLtMatmulDesc_t as Description, cublasLtMatmulDescAttributes_t as Described,
    cublasLtMatmulHeuristicResult_t as HeuristicResult, cublasLtMatmulPreference_t as Preference,
    cublasLtMatmulPreferenceAttributes_t as Preferred, cublasLtMatrixLayout_t as Layout,
    cublasStatus_t as Status, cudaDataType_t as Type, cudaStream_t as Stream,
};
use libloading::Library;

use super::library::{Probe, decimal, driver};

/// The oldest usable version, as counted by `cublasLtGetVersion`.
const OLDEST: usize = 120_000;

macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($type),*) -> Status,)*
        }

        impl Functions {
            /// # Safety
            /// The library must be cuBLASLt and must never be closed.
            unsafe fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the caller promises cuBLASLt, whose header declares these functions with these types.
                unsafe { Ok(Self { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)* }) }
            }
        }

        $(
            /// # Safety
            /// The requirements of NVIDIA's documentation.
            pub unsafe fn $name($($argument: $type),*) -> Status {
                match opened() {
                    // SAFETY: the caller promises the function's requirements, and the library is never closed.
                    Ok(opened) => unsafe { (opened.functions.$name)($($argument),*) },
                    Err(_) => Status::CUBLAS_STATUS_NOT_INITIALIZED,
                }
            }
        )*
    };
}

functions! {
    fn cublasLtCreate(handle: *mut Handle);
    fn cublasLtDestroy(handle: Handle);
    fn cublasLtMatmulDescCreate(object: *mut Description, compute: Compute, factors: Type);
    fn cublasLtMatmulDescDestroy(object: Description);
    fn cublasLtMatmulDescSetAttribute(object: Description, which: Described, value: *const c_void, bytes: usize);
    fn cublasLtMatrixLayoutCreate(object: *mut Layout, format: Type, rows: u64, columns: u64, stride: i64);
    fn cublasLtMatrixLayoutDestroy(object: Layout);
    fn cublasLtMatmulPreferenceCreate(object: *mut Preference);
    fn cublasLtMatmulPreferenceDestroy(object: Preference);
    fn cublasLtMatmulPreferenceSetAttribute(object: Preference, which: Preferred, value: *const c_void, bytes: usize);
    fn cublasLtMatmulAlgoGetHeuristic(
        handle: Handle,
        description: Description,
        a: Layout,
        b: Layout,
        c: Layout,
        d: Layout,
        preference: Preference,
        requested: c_int,
        results: *mut HeuristicResult,
        count: *mut c_int,
    );
    fn cublasLtMatmul(
        handle: Handle,
        description: Description,
        alpha: *const c_void,
        a: *const c_void,
        of_a: Layout,
        b: *const c_void,
        of_b: Layout,
        beta: *const c_void,
        c: *const c_void,
        of_c: Layout,
        d: *mut c_void,
        of_d: Layout,
        algorithm: *const Algorithm,
        workspace: *mut c_void,
        bytes: usize,
        stream: Stream,
    );
}

struct Opened {
    functions: Functions,
    version: String,
    /// The path that the system reports.
    path: Option<String>,
}

/// Opens the library once. Returns its version, such as 13.0.2.
pub fn version() -> Probe<&'static str> {
    opened().map(|opened| opened.version.as_str())
}

/// The version and the path, or why there is no usable library.
pub fn cublas() -> Probe<String> {
    let Opened { version, path, .. } = opened()?;
    Ok(path.as_ref().map_or_else(|| version.clone(), |path| format!("{version} ({path})")))
}

fn opened() -> Probe<&'static Opened> {
    static OPENED: OnceLock<Probe<Opened>> = OnceLock::new();
    OPENED.get_or_init(open).as_ref().map_err(Clone::clone)
}

fn open() -> Probe<Opened> {
    let driver = driver()?;
    // On the linker's search path first, then in a toolkit that is not on it.
    let homes = ["CUDA_HOME", "CUDA_PATH"].map(|name| std::env::var_os(name).map(PathBuf::from));
    let folders: Vec<PathBuf> = homes
        .into_iter()
        .flatten()
        .chain([PathBuf::from("/usr/local/cuda")])
        .map(|home| home.join("lib64"))
        .collect();
    let mut unusable = String::new();
    for name in ["libcublasLt.so.13", "libcublasLt.so.12"].iter().skip(usize::from(driver < 13_000)) {
        for file in [PathBuf::from(name)].into_iter().chain(folders.iter().map(|folder| folder.join(name))) {
            // SAFETY: opening a library runs its initialisers; those of NVIDIA's library are sound.
            let Ok(library) = (unsafe { Library::new(&file) }) else { continue };
            match usable(library) {
                Ok(opened) => return Ok(opened),
                Err(why) => unusable += &format!("{} {why}; ", file.display()),
            }
        }
    }
    let (looked_for, package) = if driver < 13_000 {
        ("libcublasLt.so.12, the one for this driver,", "nvidia-cublas-cu12")
    } else {
        ("libcublasLt.so.13 or .12", "nvidia-cublas")
    };
    Err(format!(
        "cuBLAS is missing: no {looked_for} can be used; {unusable}install NVIDIA's CUDA toolkit, no later than the driver's \
         CUDA {}, or `pip install {package}`, and put the folder of that file on LD_LIBRARY_PATH",
        decimal(driver)
    ))
}

fn usable(library: Library) -> Result<Opened, String> {
    // Never closed, since its functions may be called at any time.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: the library is cuBLASLt and was leaked, so it is never closed; its header declares this function, which only
    // returns a number, with this type.
    let (functions, version, address) = unsafe {
        let get: unsafe extern "C" fn() -> usize =
            *library.get(b"cublasLtGetVersion\0").map_err(|e| e.to_string())?;
        (Functions::of(library).map_err(|e| e.to_string())?, get(), get as usize)
    };
    let text = format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100);
    if version < OLDEST {
        return Err(format!("has version {text}, which is too old"));
    }
    Ok(Opened { functions, version: text, path: path_of(address) })
}

/// The file that this address is mapped from.
fn path_of(address: usize) -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let is_there = (number(from)?..number(to)?).contains(&address);
        is_there.then(|| rest.find('/').map(|at| rest[at..].to_owned())).flatten()
    })
}
