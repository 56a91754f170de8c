//! NVIDIA's libraries, opened when they are first needed, and what they report about this machine.

use std::{
    error::Error,
    ffi::{CStr, c_char, c_int},
    sync::OnceLock,
};

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};

/// What a library reports; the error says what is missing and what helps.
pub type Probe<T> = std::result::Result<T, String>;

/// The version of CUDA whose compiler made the kernels.
pub const COMPILER: &str = env!("LOTTERY_NVCC");

/// The oldest usable driver, as counted by `cuDriverGetVersion`.
const OLDEST_DRIVER: c_int = 12_000;
/// The oldest compute capability that the kernels are compiled for.
pub const OLDEST_CAPABILITY: (i32, i32) = (8, 0);

/// The result of a driver call; the error is the name and the meaning of its code.
pub fn cuda_result(code: CUresult) -> Probe<()> {
    if code == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let text = |ask: unsafe fn(CUresult, *mut *const c_char) -> CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: the driver is open, since it returned the code; the call writes one pointer.
        let answer = unsafe { ask(code, &raw mut text) };
        // SAFETY: on success the pointer is null or a static, zero-terminated string of the driver.
        (answer == CUresult::CUDA_SUCCESS && !text.is_null())
            .then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    let name = text(sys::cuGetErrorName).unwrap_or_else(|| format!("{code:?}"));
    Err(text(sys::cuGetErrorString).map_or_else(|| name.clone(), |meaning| format!("{name} ({meaning})")))
}

/// Opens the driver once. Returns its version, such as 13000.
pub fn driver() -> Probe<c_int> {
    static DRIVER: OnceLock<Probe<c_int>> = OnceLock::new();
    DRIVER.get_or_init(open_driver).clone()
}

fn open_driver() -> Probe<c_int> {
    // SAFETY: opening a library runs its initialisers; those of NVIDIA's driver are sound.
    if !unsafe { sys::is_culib_present() } {
        // SAFETY: as for `is_culib_present`, which opens the same library.
        let why = unsafe { libloading::Library::new("libcuda.so.1") }.err();
        let why = why.and_then(|e| Some(format!(" ({})", e.source()?))).unwrap_or_default();
        return Err(format!("no NVIDIA driver: libcuda.so.1 cannot be opened{why}; install NVIDIA's driver"));
    }
    let mut version = 0;
    // SAFETY: the call writes one number.
    cuda_result(unsafe { sys::cuDriverGetVersion(&raw mut version) })?;
    if version < OLDEST_DRIVER {
        return Err(format!(
            "the NVIDIA driver is too old: it supports CUDA {}, and at least {} is needed; install a newer driver",
            decimal(version),
            decimal(OLDEST_DRIVER)
        ));
    }
    // SAFETY: the driver is open, and the call takes no pointers.
    let code = unsafe { sys::cuInit(0) };
    let remedy = match code {
        CUresult::CUDA_SUCCESS => return Ok(version),
        CUresult::CUDA_ERROR_NO_DEVICE => match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(value) => format!("CUDA_VISIBLE_DEVICES is {value:?}, set it to a device of this machine"),
            Err(_) => "see nvidia-smi".into(),
        },
        CUresult::CUDA_ERROR_STUB_LIBRARY => {
            "it is the toolkit's stub: remove the folder `stubs` from LD_LIBRARY_PATH".into()
        }
        CUresult::CUDA_ERROR_SYSTEM_NOT_READY => {
            "where devices are joined by NVSwitch, start the service nvidia-fabricmanager".into()
        }
        CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
            "libcuda.so.1 does not match the kernel's driver: reboot after an update of the driver, or remove the folder \
             `compat` from LD_LIBRARY_PATH"
                .into()
        }
        CUresult::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE => {
            "the package cuda-compat does not support this device: uninstall it, or remove its folder from LD_LIBRARY_PATH".into()
        }
        CUresult::CUDA_ERROR_UNKNOWN => {
            "/dev/nvidia-uvm may be missing, in a container too: load the module nvidia-uvm, or start the container with \
             NVIDIA's runtime"
                .into()
        }
        _ => "see nvidia-smi and dmesg".into(),
    };
    Err(format!(
        "the NVIDIA driver does not start: {}; {remedy}",
        cuda_result(code).err().unwrap_or_default()
    ))
}

/// Whether the driver supports the kernels: it must have the same major version of CUDA as their compiler, or a later
/// one.
pub fn check_kernels() -> Probe<()> {
    let driver = driver()?;
    let major = COMPILER.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if driver / 1000 >= major {
        return Ok(());
    }
    let newer = if major == 13 { "driver 580 or later".into() } else { format!("a driver of CUDA {major}") };
    Err(format!(
        "this program's kernels were compiled by CUDA {COMPILER}, which the driver, of CUDA {}, does not support; install \
         {newer}, or build with a toolkit of CUDA {}",
        decimal(driver),
        driver / 1000
    ))
}

/// The number of devices, or why there are none.
pub fn device_count() -> Probe<usize> {
    driver()?;
    let mut count = 0;
    // SAFETY: the call writes one number.
    cuda_result(unsafe { sys::cuDeviceGetCount(&raw mut count) })?;
    match usize::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("the NVIDIA driver sees no device; see nvidia-smi".into()),
    }
}

/// A description of every device, or why there is none, without taking any of them.
pub fn devices() -> Probe<Vec<String>> {
    let describe =
        |properties: Properties| format!("{}, {}", properties.description(), gib(properties.memory));
    (0..device_count()?).map(|ordinal| Properties::of(ordinal).map(describe)).collect()
}

/// A device as the driver describes it.
pub struct Properties {
    pub device: c_int,
    pub name: String,
    pub capability: (i32, i32),
    pub memory: usize,
    pub driver: c_int,
    /// Whether memory can be allocated and freed in stream order.
    pub pools: bool,
}

impl Properties {
    pub fn of(ordinal: usize) -> Probe<Self> {
        let driver = driver()?;
        let (mut device, mut name, mut memory) = (0, [0; 256], 0);
        let ordinal = c_int::try_from(ordinal).map_err(|e| e.to_string())?;
        // SAFETY: each call writes one value into a variable of its type, and the name, with its final zero, at most as many
        // bytes as the array has.
        let (name, attribute) = unsafe {
            cuda_result(sys::cuDeviceGet(&raw mut device, ordinal))?;
            cuda_result(sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, device))?;
            cuda_result(sys::cuDeviceTotalMem_v2(&raw mut memory, device))?;
            let name = CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            let attribute = |which| {
                let mut value = 0;
                cuda_result(sys::cuDeviceGetAttribute(&raw mut value, which, device)).map(|()| value)
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

/// A number of bytes, readable.
pub fn gib(bytes: usize) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}
