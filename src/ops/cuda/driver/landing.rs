//! Host memory into which the device writes by itself, so that what is read back arrives while the host goes on.

use std::{cell::RefCell, ffi::c_void, ptr::null_mut, rc::Rc};

use cudarc::driver::sys::{self, CUresult};

use super::session::Session;
use crate::{error::Result, ops::pending::Pending};

/// The smallest one that is made.
const SMALLEST: usize = 4096;

/// One piece of such memory, and when what was last sent to it has arrived.
struct Landing {
    session: Rc<Session>,
    memory: *mut u8,
    bytes: usize,
    arrived: sys::CUevent,
}

impl Landing {
    fn new(session: &Rc<Session>, bytes: usize) -> Result<Self> {
        let mut landing = Self { session: session.clone(), memory: null_mut(), bytes, arrived: null_mut() };
        let mut memory: *mut c_void = null_mut();
        // SAFETY: each call writes the one handle it is given room for.
        unsafe {
            session.check_host(sys::cuMemHostAlloc(&raw mut memory, bytes, 0), bytes)?;
            landing.memory = memory.cast();
            let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
            let code = sys::cuEventCreate(&raw mut landing.arrived, flags);
            session.check(code, || "make an event".into())?;
        }
        Ok(landing)
    }

    /// Waits for what was last sent; there may have been nothing yet.
    fn wait(&self) -> Result<()> {
        // SAFETY: the event is this one's own.
        self.session
            .check(unsafe { sys::cuEventSynchronize(self.arrived) }, || "finish what it was given".into())
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // SAFETY: nothing is on its way any more, or the device is lost; nobody else has these.
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

/// Those that nothing is expected in.
pub struct Landings {
    session: Rc<Session>,
    free: RefCell<Vec<Landing>>,
}

impl Landings {
    pub fn new(session: &Rc<Session>) -> Self {
        Self { session: session.clone(), free: RefCell::default() }
    }

    /// One of at least so many bytes.
    fn take(&self, bytes: usize) -> Result<Landing> {
        let mut free = self.free.borrow_mut();
        free.sort_unstable_by_key(|landing| landing.bytes);
        let at = free.partition_point(|landing| landing.bytes < bytes);
        if at < free.len() {
            let landing = free.remove(at);
            // What nobody waited for may still be on its way.
            landing.wait()?;
            return Ok(landing);
        }
        // In place of one that is too small, so that they do not become many.
        free.pop();
        Landing::new(&self.session, bytes.next_power_of_two().max(SMALLEST))
    }

    /// What is in the device's memory when the stream comes to it.
    pub fn fetch(self: &Rc<Self>, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        if bytes == 0 {
            return Ok(Pending::Ready(Vec::new()));
        }
        let landing = self.take(bytes)?;
        let stream = self.session.stream;
        // SAFETY: the landing is as large, and stays until the event says that all has arrived.
        let code = unsafe {
            match sys::cuMemcpyDtoHAsync_v2(landing.memory.cast(), from, bytes, stream) {
                CUresult::CUDA_SUCCESS => sys::cuEventRecord(landing.arrived, stream),
                code => code,
            }
        };
        if code != CUresult::CUDA_SUCCESS {
            // Without the event nothing else says when the landing may be given back.
            let _ = self.session.wait();
        }
        self.session.check(code, || format!("be read, {bytes} bytes"))?;
        let on_its_way = OnItsWay { landings: self.clone(), landing: Some(landing) };
        Ok(Pending::InFlight(Box::new(move || on_its_way.read(bytes))))
    }
}

/// What was sent to a landing, which is free again when this is dropped.
struct OnItsWay {
    landings: Rc<Landings>,
    landing: Option<Landing>,
}

impl OnItsWay {
    fn read(self, bytes: usize) -> Result<Vec<u8>> {
        let Some(landing) = &self.landing else { return Ok(Vec::new()) };
        landing.session.enter()?;
        landing.wait()?;
        // SAFETY: so many bytes have been written there, and nothing writes any more.
        Ok(unsafe { std::slice::from_raw_parts(landing.memory, bytes) }.to_vec())
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.landings.free.borrow_mut().extend(self.landing.take());
    }
}
