//! The device's memory, and what goes in and out of it.

use std::{
    cell::{Cell, OnceCell},
    ffi::c_void,
    rc::Rc,
};

use cudarc::driver::sys::{self, CUresult};

use super::{failure::out_of_memory, library::Properties, session::Session};
use crate::error::Result;

/// Workspace for cuBLASLt; NVIDIA recommends 32 MiB for compute capability 9.0.
pub const WORKSPACE: usize = 32 << 20;

/// Pinned host memory for uploads, in parts that are used in turn. Data is staged there, so that the caller may change
/// or free the source at once and the host can run ahead of the device; a copy from pageable memory would be as safe,
/// but the driver may wait for the stream first.
const PART: usize = 256 << 10;
const PARTS: usize = 32;

/// The device's memory pool, set to keep freed memory; `None` if there are no pools, or if they are reported and then
/// refused, as on some virtual machines.
fn usable_pool(session: &Session, properties: &Properties) -> Result<Option<sys::CUmemoryPool>> {
    if !properties.pools {
        return Ok(None);
    }
    let (mut pool, mut keep, mut address) = (std::ptr::null_mut(), u64::MAX, 0);
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: each call writes one handle or address into a variable of that type, or reads one number; the address is freed
    // only if it was allocated.
    let code = unsafe {
        let mut code = sys::cuDeviceGetDefaultMemPool(&raw mut pool, properties.device);
        if code == CUresult::CUDA_SUCCESS {
            code = sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut keep).cast());
        }
        if code == CUresult::CUDA_SUCCESS {
            code = sys::cuMemAllocAsync(&raw mut address, 1, session.stream);
        }
        if code == CUresult::CUDA_SUCCESS {
            code = sys::cuMemFreeAsync(address, session.stream);
        }
        code
    };
    match code {
        CUresult::CUDA_ERROR_NOT_SUPPORTED | CUresult::CUDA_ERROR_NOT_PERMITTED => Ok(None),
        code => session.check(code, || "keep memory for later".into()).map(|()| Some(pool)),
    }
}

pub struct Memory {
    session: Rc<Session>,
    /// The device's memory pool; without it, every block is allocated and freed separately.
    pool: Option<sys::CUmemoryPool>,
    staging: *mut u8,
    /// For each part, the event that the device has read it.
    read: Vec<sys::CUevent>,
    next: Cell<usize>,
    workspace: OnceCell<u64>,
}

impl Memory {
    pub fn new(session: &Rc<Session>, properties: &Properties) -> Result<Self> {
        let mut memory = Self {
            session: session.clone(),
            pool: usable_pool(session, properties)?,
            staging: std::ptr::null_mut(),
            read: Vec::with_capacity(PARTS),
            next: Cell::new(0),
            workspace: OnceCell::new(),
        };
        // SAFETY: each call writes one handle or pointer into a variable of that type.
        unsafe {
            let mut staging: *mut c_void = std::ptr::null_mut();
            session.check_host(sys::cuMemHostAlloc(&raw mut staging, PART * PARTS, 0), PART * PARTS)?;
            memory.staging = staging.cast();
            for _ in 0..PARTS {
                let mut event = std::ptr::null_mut();
                let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
                let code = sys::cuEventCreate(&raw mut event, flags);
                session.check(code, || "make an event".into())?;
                memory.read.push(event);
            }
        }
        Ok(memory)
    }

    pub fn allocate(&self, bytes: usize) -> Result<u64> {
        let mut code = self.take(bytes);
        if let (Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY), Some(pool)) = (code, self.pool) {
            // The pool may hold enough memory, but in blocks that are too small.
            self.session.wait()?;
            // SAFETY: the pool is the device's default pool, which is never destroyed.
            let _ = unsafe { sys::cuMemPoolTrimTo(pool, 0) };
            code = self.take(bytes);
        }
        match code {
            Ok(address) => Ok(address),
            Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                let (mut free, mut total) = (0, 0);
                // SAFETY: the call writes two numbers.
                let _ = unsafe { sys::cuMemGetInfo_v2(&raw mut free, &raw mut total) };
                Err(out_of_memory(&self.session.label, bytes, (free, total)))
            }
            Err(code) => {
                self.session.check(code, || format!("allocate {bytes} bytes"))?;
                Ok(0)
            }
        }
    }

    fn take(&self, bytes: usize) -> std::result::Result<u64, CUresult> {
        let mut address = 0;
        // Empty blocks are refused.
        let bytes = bytes.max(1);
        // SAFETY: either call writes one address into a variable of that type.
        let code = unsafe {
            match self.pool {
                Some(_) => sys::cuMemAllocAsync(&raw mut address, bytes, self.session.stream),
                None => sys::cuMemAlloc_v2(&raw mut address, bytes),
            }
        };
        if code == CUresult::CUDA_SUCCESS { Ok(address) } else { Err(code) }
    }

    /// Frees a block. A lost device is reported by the next call that returns an error.
    pub fn free(&self, address: u64) {
        // SAFETY: the address is from `allocate`. Without a pool, the stream is waited for before the memory is freed; with one,
        // it is freed in stream order.
        unsafe {
            if self.pool.is_some() {
                let _ = sys::cuMemFreeAsync(address, self.session.stream);
            } else {
                let _ = sys::cuStreamSynchronize(self.session.stream);
                let _ = sys::cuMemFree_v2(address);
            }
        }
    }

    /// The workspace, allocated at the first product.
    pub fn workspace(&self) -> Result<u64> {
        if let Some(address) = self.workspace.get() {
            return Ok(*address);
        }
        let address = self.allocate(WORKSPACE)?;
        Ok(*self.workspace.get_or_init(|| address))
    }

    pub fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        for (i, bytes) in from.chunks(PART).enumerate() {
            let part = self.next.replace((self.next.get() + 1) % PARTS);
            let failed = || format!("be given {} bytes", from.len());
            // SAFETY: after the event the device has read what this part held, so it can be overwritten; it has PART bytes, and
            // `bytes` at most as many.
            unsafe {
                let staged = self.staging.add(part * PART);
                self.session.check(sys::cuEventSynchronize(self.read[part]), failed)?;
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), staged, bytes.len());
                let (to, stream) = (to + (i * PART) as u64, self.session.stream);
                let code = sys::cuMemcpyHtoDAsync_v2(to, staged.cast(), bytes.len(), stream);
                self.session.check(code, failed)?;
                self.session.check(sys::cuEventRecord(self.read[part], stream), failed)?;
            }
        }
        Ok(())
    }

    pub fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: `to` has as many bytes and is borrowed until the stream has been waited for below.
        let code =
            unsafe { sys::cuMemcpyDtoHAsync_v2(to.as_mut_ptr().cast(), from, to.len(), self.session.stream) };
        // Even after an error no copy may be in flight when `to` is returned to the caller.
        let waited = self.session.wait();
        self.session.check(code, || format!("be read, {} bytes", to.len())).and(waited)
    }

    pub fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller passes addresses of device memory with at least this many bytes.
        let code = unsafe { sys::cuMemcpyDtoDAsync_v2(to, from, bytes, self.session.stream) };
        self.session.check(code, || format!("copy {bytes} bytes"))
    }

    /// Zeros `rows` rows of `bytes` bytes whose starts are `stride` bytes apart.
    pub fn clear_rows(&self, at: u64, stride: usize, (rows, bytes): (usize, usize)) -> Result<()> {
        let stream = self.session.stream;
        if rows * bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller passes an address of device memory with these rows.
        let code = unsafe {
            if rows == 1 || stride == bytes {
                sys::cuMemsetD8Async(at, 0, rows * bytes, stream)
            } else {
                sys::cuMemsetD2D8Async(at, stride, 0, bytes, rows, stream)
            }
        };
        self.session.check(code, || format!("clear {} bytes", rows * bytes))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = self.session.enter().and_then(|()| self.session.wait());
        if let Some(address) = self.workspace.get() {
            self.free(*address);
        }
        // SAFETY: the stream has been waited for, so nothing uses the events and the memory, which this value owns.
        unsafe {
            for event in &self.read {
                let _ = sys::cuEventDestroy_v2(*event);
            }
            if !self.staging.is_null() {
                let _ = sys::cuMemFreeHost(self.staging.cast());
            }
        }
    }
}
