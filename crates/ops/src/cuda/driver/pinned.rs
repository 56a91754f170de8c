//! Pinned host memory: the device copies into it on its own, so that results arrive while the host goes on.

use std::{cell::RefCell, ffi::c_void, ptr::null_mut, rc::Rc};

use cudarc::driver::sys::{self, CUresult};

use super::session::Session;
use crate::{error::Result, pending::Pending};

const MIN_BYTES: usize = 4096;

/// A pinned buffer, with the event that the last copy into it has finished.
struct PinnedBuffer {
    session: Rc<Session>,
    memory: *mut u8,
    bytes: usize,
    arrived: sys::CUevent,
}

impl PinnedBuffer {
    fn new(session: &Rc<Session>, bytes: usize) -> Result<Self> {
        let mut buffer = Self { session: session.clone(), memory: null_mut(), bytes, arrived: null_mut() };
        let mut memory: *mut c_void = null_mut();
        // SAFETY: each call writes one handle, into a variable of that type.
        unsafe {
            session.check_host(sys::cuMemHostAlloc(&raw mut memory, bytes, 0), bytes)?;
            buffer.memory = memory.cast();
            let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
            let code = sys::cuEventCreate(&raw mut buffer.arrived, flags);
            session.check(code, || "make an event".into())?;
        }
        Ok(buffer)
    }

    /// Waits for the last copy, if there was one.
    fn wait(&self) -> Result<()> {
        // SAFETY: the event lives as long as this buffer.
        self.session
            .check(unsafe { sys::cuEventSynchronize(self.arrived) }, || "finish what it was given".into())
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        // SAFETY: no copy is in flight any more, or the device is lost; the event and the memory are owned by this buffer alone.
        unsafe {
            if !self.arrived.is_null() {
                let _ = self.session.enter().and_then(|()| self.wait());
                let _ = sys::cuEventDestroy_v2(self.arrived);
            }
            if !self.memory.is_null() {
                let _ = sys::cuMemFreeHost(self.memory.cast());
            }
        }
    }
}

/// The pinned buffers that are free.
pub struct PinnedBuffers {
    session: Rc<Session>,
    free: RefCell<Vec<PinnedBuffer>>,
}

impl PinnedBuffers {
    pub fn new(session: &Rc<Session>) -> Self {
        Self { session: session.clone(), free: RefCell::default() }
    }

    /// A buffer of at least `bytes` bytes.
    fn take(&self, bytes: usize) -> Result<PinnedBuffer> {
        let mut free = self.free.borrow_mut();
        free.sort_unstable_by_key(|buffer| buffer.bytes);
        let at = free.partition_point(|buffer| buffer.bytes < bytes);
        if at < free.len() {
            let buffer = free.remove(at);
            // A copy that nobody waited for may still be in flight.
            buffer.wait()?;
            return Ok(buffer);
        }
        // Replaces one that is too small, so that buffers do not pile up.
        free.pop();
        PinnedBuffer::new(&self.session, bytes.next_power_of_two().max(MIN_BYTES))
    }

    /// The bytes at `from` in device memory, as they are when the stream gets there.
    pub fn fetch(self: &Rc<Self>, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        if bytes == 0 {
            return Ok(Pending::Ready(Vec::new()));
        }
        let buffer = self.take(bytes)?;
        let stream = self.session.stream;
        // SAFETY: the buffer has at least `bytes` bytes, and is neither freed nor given to another copy until the event is
        // reached.
        let code = unsafe {
            match sys::cuMemcpyDtoHAsync_v2(buffer.memory.cast(), from, bytes, stream) {
                CUresult::CUDA_SUCCESS => sys::cuEventRecord(buffer.arrived, stream),
                code => code,
            }
        };
        if code != CUresult::CUDA_SUCCESS {
            // Without the event, only the stream can tell when the buffer is free again.
            let _ = self.session.wait();
        }
        self.session.check(code, || format!("be read, {bytes} bytes"))?;
        let in_flight = InFlight { buffers: self.clone(), buffer: Some(buffer) };
        Ok(Pending::InFlight(Box::new(move || in_flight.read(bytes))))
    }
}

/// A copy into a buffer, which is free again when this is dropped.
struct InFlight {
    buffers: Rc<PinnedBuffers>,
    buffer: Option<PinnedBuffer>,
}

impl InFlight {
    fn read(self, bytes: usize) -> Result<Vec<u8>> {
        let Some(buffer) = &self.buffer else { return Ok(Vec::new()) };
        buffer.session.enter()?;
        buffer.wait()?;
        // SAFETY: the copy has written `bytes` bytes there, and nothing writes to them any more.
        Ok(unsafe { std::slice::from_raw_parts(buffer.memory, bytes) }.to_vec())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.buffers.free.borrow_mut().extend(self.buffer.take());
    }
}
