//! NVIDIA's libraries, which are opened when they are first needed, and what they say about this machine.

use std::{
    error::Error,
    ffi::{CStr, c_char, c_int},
    path::PathBuf,
    sync::OnceLock,
};

use cudarc::{
    cublaslt::sys as blas,
    driver::sys::{self, CUdevice_attribute as Attribute, CUresult},
};

type Said<T> = std::result::Result<T, String>;

/// The oldest driver that can be used, as `cuDriverGetVersion` counts.
const OLDEST_DRIVER: c_int = 12_000;
/// The oldest compute capability that the kernels are compiled for.
pub const OLDEST_CAPABILITY: (i32, i32) = (8, 0);

/// What a call came to, and its name for people.
pub fn said(code: CUresult) -> Said<()> {
    if code == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let text = |ask: unsafe fn(CUresult, *mut *const c_char) -> CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: the driver is open, or there were no code; it answers with a text that stays, or null.
        let answer = unsafe { ask(code, &raw mut text) };
        // SAFETY: as above.
        (answer == CUresult::CUDA_SUCCESS && !text.is_null())
            .then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    let name = text(sys::cuGetErrorName).unwrap_or_else(|| format!("{code:?}"));
    Err(text(sys::cuGetErrorString).map_or_else(|| name.clone(), |meaning| format!("{name} ({meaning})")))
}

/// Opens the driver, once; its version, such as 13000.
pub fn driver() -> Said<c_int> {
    static DRIVER: OnceLock<Said<c_int>> = OnceLock::new();
    DRIVER.get_or_init(open_driver).clone()
}

fn open_driver() -> Said<c_int> {
    // SAFETY: opening it runs its initialisers, which are NVIDIA's.
    if !unsafe { sys::is_culib_present() } {
        // SAFETY: as above.
        let why = unsafe { libloading::Library::new("libcuda.so.1") }.err();
        let why = why.and_then(|e| Some(format!(" ({})", e.source()?))).unwrap_or_default();
        return Err(format!("no NVIDIA driver: libcuda.so.1 cannot be opened{why}; install NVIDIA's driver"));
    }
    let mut version = 0;
    // SAFETY: it writes one number.
    said(unsafe { sys::cuDriverGetVersion(&raw mut version) })?;
    if version < OLDEST_DRIVER {
        return Err(format!(
            "the NVIDIA driver is too old: it knows CUDA {}, and at least {} is needed; install a newer driver",
            decimal(version),
            decimal(OLDEST_DRIVER)
        ));
    }
    // SAFETY: it takes no memory.
    let code = unsafe { sys::cuInit(0) };
    let remedy = match code {
        CUresult::CUDA_SUCCESS => return Ok(version),
        CUresult::CUDA_ERROR_NO_DEVICE => match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(value) => format!("CUDA_VISIBLE_DEVICES is {value:?}, name a device of this machine there"),
            Err(_) => "see nvidia-smi".into(),
        },
        CUresult::CUDA_ERROR_STUB_LIBRARY => {
            "it is the toolkit's stub, take the folder `stubs` out of LD_LIBRARY_PATH".into()
        }
        _ => "see nvidia-smi and dmesg".into(),
    };
    Err(format!("the NVIDIA driver does not start: {}; {remedy}", said(code).err().unwrap_or_default()))
}

/// Opens the library of matrix products, once, or says why it cannot be opened.
pub fn cublas() -> Said<()> {
    static CUBLAS: OnceLock<Said<()>> = OnceLock::new();
    CUBLAS.get_or_init(open_cublas).clone()
}

fn open_cublas() -> Said<()> {
    // SAFETY: opening it runs its initialisers, which are NVIDIA's.
    if unsafe { blas::is_culib_present() } {
        return Ok(());
    }
    // A toolkit that is not on the linker's path. A library that is open is found again by its name.
    let homes = ["CUDA_HOME", "CUDA_PATH"].map(|name| std::env::var_os(name).map(PathBuf::from));
    for home in homes.into_iter().flatten().chain([PathBuf::from("/usr/local/cuda")]) {
        for name in ["libcublasLt.so.13", "libcublasLt.so.12"] {
            // SAFETY: as above.
            if let Ok(library) = unsafe { libloading::Library::new(home.join("lib64").join(name)) } {
                std::mem::forget(library);
                return Ok(());
            }
        }
    }
    Err("cuBLAS is missing: neither libcublasLt.so.13 nor .12 can be opened; install NVIDIA's CUDA toolkit, or \
         `pip install nvidia-cublas` (nvidia-cublas-cu12 for a driver of CUDA 12), and put the folder of that file \
         on LD_LIBRARY_PATH"
        .into())
}

/// How many devices there are, or why none.
pub fn present() -> Said<usize> {
    driver()?;
    let mut count = 0;
    // SAFETY: it writes one number.
    said(unsafe { sys::cuDeviceGetCount(&raw mut count) })?;
    match usize::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("the NVIDIA driver sees no device; see nvidia-smi".into()),
    }
}

/// What can be said about every device, or why there is none, without taking any of them.
pub fn devices() -> Said<Vec<String>> {
    let describe = |facts: Facts| format!("{}, {}", facts.description(), gib(facts.memory));
    (0..present()?).map(|ordinal| Facts::of(ordinal).map(describe)).collect()
}

/// A device as the driver describes it.
pub struct Facts {
    pub device: c_int,
    pub name: String,
    pub capability: (i32, i32),
    pub memory: usize,
    pub driver: c_int,
    /// Whether memory can be taken and given back in the order of the stream.
    pub pools: bool,
}

impl Facts {
    pub fn of(ordinal: usize) -> Said<Self> {
        let driver = driver()?;
        let (mut device, mut name, mut memory) = (0, [0; 256], 0);
        let ordinal = c_int::try_from(ordinal).map_err(|e| e.to_string())?;
        // SAFETY: each writes the one value it is given room for, the name at most 256 characters and a zero at the end.
        let (name, attribute) = unsafe {
            said(sys::cuDeviceGet(&raw mut device, ordinal))?;
            said(sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, device))?;
            said(sys::cuDeviceTotalMem_v2(&raw mut memory, device))?;
            let name = CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            let attribute = |which| {
                let mut value = 0;
                said(sys::cuDeviceGetAttribute(&raw mut value, which, device)).map(|()| value)
            };
            (name, attribute)
        };
        let capability = (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let pools = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)? != 0;
        Ok(Self { device, name, capability, memory, driver, pools })
    }

    pub fn description(&self) -> String {
        let (major, minor) = self.capability;
        format!("{}, compute capability {major}.{minor}, driver {}", self.name, decimal(self.driver))
    }
}

/// 13.1 for 13010.
pub fn decimal(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// So many bytes, for people.
pub fn gib(bytes: usize) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}
