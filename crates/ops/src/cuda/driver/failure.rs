//! Error messages of a failing device, with the remedy.

use cudarc::driver::sys::CUresult;

use super::library::{COMPILER, cuda_result, gib};
use crate::error::{Error, Result};

/// The result of a call; the error is "`device` cannot `what`", with the cause and the remedy.
pub fn check(code: CUresult, device: &str, what: impl FnOnce() -> String) -> Result<()> {
    cuda_result(code).map_err(|why| {
        let text = format!("{device} cannot {}: {why}. {}", what(), remedy(code));
        match code {
            // Other processes hold the resource: nothing is wrong with the device or this program.
            CUresult::CUDA_ERROR_OUT_OF_MEMORY | CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => {
                Error::usage(text)
            }
            _ => Error::internal(text),
        }
    })
}

/// [`check`] for an allocation of pinned host memory.
pub fn check_host(code: CUresult, device: &str, bytes: usize) -> Result<()> {
    if code != CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return check(code, device, || format!("get {bytes} bytes of host memory"));
    }
    Err(Error::usage(format!(
        "{device} cannot get {bytes} bytes ({}) of pinned host memory: the host does not have that much left. End other \
         programs on it, or raise the memory limit of this job or container.",
        gib(bytes)
    )))
}

fn remedy(code: CUresult) -> String {
    use CUresult as C;
    match code {
        C::CUDA_ERROR_OUT_OF_MEMORY => {
            "Another process may hold the device's memory (see nvidia-smi): wait for it, or choose another device.".into()
        }
        C::CUDA_ERROR_DEVICE_UNAVAILABLE => {
            "Another process has the device for itself (see nvidia-smi): wait for it, or choose another device.".into()
        }
        C::CUDA_ERROR_NO_BINARY_FOR_GPU
        | C::CUDA_ERROR_INVALID_IMAGE
        | C::CUDA_ERROR_INVALID_PTX
        | C::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | C::CUDA_ERROR_JIT_COMPILER_NOT_FOUND => format!(
            "This program's kernels were compiled by CUDA {}: install a driver that supports it, or build with an older \
             toolkit.",
            COMPILER
        ),
        C::CUDA_ERROR_ILLEGAL_ADDRESS
        | C::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | C::CUDA_ERROR_MISALIGNED_ADDRESS
        | C::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | C::CUDA_ERROR_INVALID_PC
        | C::CUDA_ERROR_LAUNCH_FAILED => {
            "See nvidia-smi, and dmesg for lines with Xid. Run the same command again: it resumes from the last \
             checkpoint. If this happens again, run it with CUDA_LAUNCH_BLOCKING=1, which names the kernel, and report \
             that."
                .into()
        }
        C::CUDA_ERROR_INVALID_VALUE | C::CUDA_ERROR_NOT_FOUND | C::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES => {
            "This is a bug in this program: please report it with the command line.".into()
        }
        _ => "See nvidia-smi, and dmesg for lines with Xid. Run the same command again: it resumes from the last \
              checkpoint."
            .into(),
    }
}

/// `free` and `total` are what the device has left and has.
pub fn out_of_memory(device: &str, bytes: usize, (free, total): (usize, usize)) -> Error {
    Error::usage(format!(
        "{device} is out of memory: {bytes} bytes ({}) are needed, {} of {} are free. Lower train.batch_size, choose \
         --dtype bf16, or end other processes on the device (see nvidia-smi).",
        gib(bytes),
        gib(free),
        gib(total)
    ))
}
