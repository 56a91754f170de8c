//! An open device.

use std::ffi::c_int;

use cudarc::driver::sys;

use super::failure;
use crate::error::Result;

/// The device's context and the stream in it, which everything else here works with.
pub struct Session {
    pub label: String,
    context: sys::CUcontext,
    pub stream: sys::CUstream,
}

impl Session {
    pub fn new(label: String, device: c_int) -> Result<Self> {
        let (mut context, mut stream) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: each call writes one handle, into a variable of that type. The primary context is shared by the whole process
        // and never released, since creating it takes long.
        unsafe {
            let code = sys::cuDevicePrimaryCtxRetain(&raw mut context, device);
            failure::check(code, &label, || "be taken".into())?;
            failure::check(sys::cuCtxSetCurrent(context), &label, || "be taken".into())?;
            let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
            failure::check(sys::cuStreamCreate(&raw mut stream, flags), &label, || "make a stream".into())?;
        }
        Ok(Self { label, context, stream })
    }

    pub fn check(&self, code: sys::CUresult, what: impl FnOnce() -> String) -> Result<()> {
        failure::check(code, &self.label, what)
    }

    pub fn check_host(&self, code: sys::CUresult, bytes: usize) -> Result<()> {
        failure::check_host(code, &self.label, bytes)
    }

    /// Makes the device current for this thread, which may have used another one in between.
    pub fn enter(&self) -> Result<()> {
        // SAFETY: the context is never released.
        self.check(unsafe { sys::cuCtxSetCurrent(self.context) }, || "be chosen".into())
    }

    pub fn wait(&self) -> Result<()> {
        // SAFETY: the stream is destroyed only when the session is dropped.
        self.check(unsafe { sys::cuStreamSynchronize(self.stream) }, || "finish what it was given".into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: everything that uses the stream holds the session, so nothing uses it any more. Errors of a lost device have
        // been reported before.
        let _ = unsafe { sys::cuStreamDestroy_v2(self.stream) };
    }
}
