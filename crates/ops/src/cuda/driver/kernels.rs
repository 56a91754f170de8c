//! The compiled kernels on a device.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ffi::{CString, c_int, c_void},
    ptr::null_mut,
    rc::Rc,
};

use cudarc::driver::sys::{self, CUfunction_attribute as Attribute};

use super::session::Session;
use crate::{
    cuda::{Argument, Grid},
    error::{Error, Result},
};

/// The kernels, as build.rs had them compiled; aligned as loaders of such files expect.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);
static KERNELS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin")));

/// Bytes of shared memory, those of fixed size too, that CUDA lets any kernel have without asking.
const SHARED: c_int = 48 << 10;

pub struct Kernels {
    session: Rc<Session>,
    module: sys::CUmodule,
    found: RefCell<HashMap<String, Kernel>>,
}

#[derive(Clone)]
struct Kernel {
    function: sys::CUfunction,
    /// Bytes of dynamic shared memory that it may be launched with.
    shared: Rc<Cell<u32>>,
}

impl Kernels {
    pub fn new(session: &Rc<Session>) -> Result<Self> {
        let mut module = null_mut();
        // SAFETY: the image is a complete fat binary in static memory; the call writes one handle.
        let code = unsafe { sys::cuModuleLoadData(&raw mut module, KERNELS.0.as_ptr().cast()) };
        session.check(code, || "load the kernels".into())?;
        Ok(Self { session: session.clone(), module, found: RefCell::default() })
    }

    fn find(&self, name: &str) -> Result<Kernel> {
        if let Some(kernel) = self.found.borrow().get(name) {
            return Ok(kernel.clone());
        }
        let failed = || format!("find the kernel {name}");
        let c_name = CString::new(name).map_err(|_| Error::internal(failed()))?;
        let (mut function, mut free, mut fixed) = (null_mut(), 0, 0);
        // SAFETY: each call writes one value into a variable of its type; the module is loaded, and the name ends with a zero.
        unsafe {
            self.session
                .check(sys::cuModuleGetFunction(&raw mut function, self.module, c_name.as_ptr()), failed)?;
            let most = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            self.session.check(sys::cuFuncGetAttribute(&raw mut free, most, function), failed)?;
            let size = Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
            self.session.check(sys::cuFuncGetAttribute(&raw mut fixed, size, function), failed)?;
        }
        // Whether the first number leaves out what is of fixed size, drivers need not agree on.
        let shared = free.min(SHARED - fixed).max(0) as u32;
        let kernel = Kernel { function, shared: Rc::new(Cell::new(shared)) };
        self.found.borrow_mut().insert(name.to_owned(), kernel.clone());
        Ok(kernel)
    }

    /// Launches the kernel of this name; the grid has at least one block.
    pub fn launch(&self, name: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let Kernel { function, shared } = self.find(name)?;
        let failed = || format!("run {name} with {grid:?}");
        if grid.shared > shared.get() {
            let most = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function belongs to a module that is loaded as long as `self` lives.
            let code = unsafe { sys::cuFuncSetAttribute(function, most, grid.shared as c_int) };
            self.session.check(code, failed)?;
            shared.set(grid.shared);
        }
        let mut values: Vec<u64> = arguments.iter().map(|argument| argument.bits()).collect();
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|v| std::ptr::from_mut(v).cast()).collect();
        let [x, y, z] = grid.blocks;
        // SAFETY: the driver copies the arguments before it returns; little-endian values stand where it reads each
        // parameter. That they are the kernel's own, and the addresses too, is what the tests on the emulation show.
        let code = unsafe {
            let (stream, pointers) = (self.session.stream, pointers.as_mut_ptr());
            sys::cuLaunchKernel(
                function,
                x,
                y,
                z,
                grid.threads,
                1,
                1,
                grid.shared,
                stream,
                pointers,
                null_mut(),
            )
        };
        self.session.check(code, failed)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        let _ = self.session.enter().and_then(|()| self.session.wait());
        // SAFETY: the stream has been waited for, so no kernel is running, and none can be launched after this.
        let _ = unsafe { sys::cuModuleUnload(self.module) };
    }
}
