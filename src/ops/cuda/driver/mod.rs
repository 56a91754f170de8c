//! A CUDA device by NVIDIA's driver and cuBLASLt, both opened at run time.

mod cublas;
mod failure;
mod landing;
mod library;
mod memory;
mod product;
mod session;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ffi::{CString, c_int, c_void},
    rc::Rc,
};

use cudarc::driver::sys::{self, CUfunction_attribute as Attribute};

use self::{landing::Landings, library::Facts, memory::Memory, product::Products, session::Session};
use super::{Argument, Gpu, Grid, Product};
use crate::{
    error::{Error, Result},
    ops::later::Later,
};

pub use library::{cublas, devices, present};

/// The kernels, as build.rs had them compiled; aligned as loaders of such files expect.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);
static KERNELS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin")));

/// The version of CUDA whose compiler made the kernels.
pub const COMPILER: &str = env!("LOTTERY_NVCC");

/// One device. All that is asked of it is done by one stream, in order.
pub struct Driver {
    facts: Facts,
    session: Rc<Session>,
    memory: Memory,
    landings: Rc<Landings>,
    products: Products,
    module: sys::CUmodule,
    kernels: RefCell<HashMap<String, Kernel>>,
}

#[derive(Clone)]
struct Kernel {
    function: sys::CUfunction,
    /// Bytes of dynamic shared memory that it may be launched with.
    shared: Rc<Cell<u32>>,
}

impl Driver {
    /// Takes the device of this ordinal, counted as CUDA does.
    ///
    /// # Errors
    /// When there is no such device, driver or library, or the device is too old: what is missing and what helps.
    pub fn open(ordinal: usize) -> Result<Self> {
        let refused = |why: String| Error::usage(format!("cuda:{ordinal}: {why}, or use --device cpu"));
        let count = present().map_err(refused)?;
        if ordinal >= count {
            let devices = if count == 1 { "1 device".to_owned() } else { format!("{count} devices") };
            return Err(refused(format!("this machine has {devices}; choose one, counting from 0")));
        }
        let facts = Facts::of(ordinal).map_err(|said| refused(format!("{said}; see nvidia-smi")))?;
        if facts.capability < library::OLDEST_CAPABILITY {
            let (major, minor) = library::OLDEST_CAPABILITY;
            let what = facts.description();
            let why =
                format!("{what}: the kernels need compute capability {major}.{minor}; choose another device");
            return Err(refused(why));
        }
        cublas().map_err(refused)?;

        let label = format!("cuda:{ordinal} ({})", facts.name);
        let session = Rc::new(Session::new(label, facts.device)?);
        let memory = Memory::new(&session, &facts)?;
        let landings = Rc::new(Landings::new(&session));
        let products = Products::new(&session)?;
        let mut module = std::ptr::null_mut();
        // SAFETY: the image is whole and stays.
        let code = unsafe { sys::cuModuleLoadData(&raw mut module, KERNELS.0.as_ptr().cast()) };
        session.check(code, || "load the kernels".into())?;
        Ok(Self { facts, session, memory, landings, products, module, kernels: RefCell::default() })
    }

    fn kernel(&self, name: &str) -> Result<Kernel> {
        if let Some(kernel) = self.kernels.borrow().get(name) {
            return Ok(kernel.clone());
        }
        let failed = || format!("find the kernel {name}");
        let c_name = CString::new(name).map_err(|_| Error::internal(failed()))?;
        let (mut function, mut shared) = (std::ptr::null_mut(), 0);
        // SAFETY: both write the one value they are given room for; the name ends with a zero.
        unsafe {
            self.session
                .check(sys::cuModuleGetFunction(&raw mut function, self.module, c_name.as_ptr()), failed)?;
            let limit = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            self.session.check(sys::cuFuncGetAttribute(&raw mut shared, limit, function), failed)?;
        }
        let kernel = Kernel { function, shared: Rc::new(Cell::new(shared.max(0) as u32)) };
        self.kernels.borrow_mut().insert(name.to_owned(), kernel.clone());
        Ok(kernel)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.session.enter().and_then(|()| self.session.wait());
        // SAFETY: no kernel runs any more, and none can be launched.
        let _ = unsafe { sys::cuModuleUnload(self.module) };
    }
}

impl Gpu for Driver {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.session.enter()?;
        self.memory.allocate(bytes)
    }

    fn free(&self, address: u64) {
        if self.session.enter().is_ok() {
            self.memory.free(address);
        }
    }

    fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.session.enter()?;
        self.memory.upload(from, to)
    }

    fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.session.enter()?;
        self.memory.download(from, to)
    }

    fn fetch(&self, from: u64, bytes: usize) -> Result<Later<Vec<u8>>> {
        self.session.enter()?;
        self.landings.fetch(from, bytes)
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.session.enter()?;
        self.memory.copy(from, to, bytes)
    }

    fn clear(&self, at: u64, bytes: usize) -> Result<()> {
        self.session.enter()?;
        self.memory.clear_rows(at, bytes, (1, bytes))
    }

    fn launch(&self, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        self.session.enter()?;
        let Kernel { function, shared } = self.kernel(kernel)?;
        let failed = || format!("run {kernel} with {grid:?}");
        if grid.shared > shared.get() {
            let limit = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is of a module that is loaded.
            self.session
                .check(unsafe { sys::cuFuncSetAttribute(function, limit, grid.shared as c_int) }, failed)?;
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
                std::ptr::null_mut(),
            )
        };
        self.session.check(code, failed)
    }

    fn product(&self, p: &Product) -> Result<()> {
        let (m, n, k) = p.shape;
        if p.c.transposed {
            return Err(Error::internal("a product's outcome cannot be transposed"));
        }
        if m == 0 || n == 0 {
            return Ok(());
        }
        self.session.enter()?;
        let within = k > 0 && self.products.add_bias(p);
        if k > 0 {
            self.products
                .run(&Product { bias: p.bias.filter(|_| within), ..*p }, self.memory.workspace()?)?;
        } else if !p.accumulate {
            let bytes = p.c_format.bytes();
            self.memory.clear_rows(p.c.address, p.c.stride * bytes, (m, n * bytes))?;
        }
        match p.bias.filter(|_| !within) {
            Some(bias) => super::bias::add(self, p.c_format, bias, p.c.address, (m, n, p.c.stride)),
            None => Ok(()),
        }
    }

    fn wait(&self) -> Result<()> {
        self.session.enter()?;
        self.session.wait()
    }

    fn description(&self) -> String {
        self.facts.description()
    }
}
