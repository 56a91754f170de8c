//! A CUDA device, through NVIDIA's driver and cuBLASLt, both opened at run time.

mod cublas;
mod failure;
mod kernels;
mod library;
mod lt;
mod memory;
mod pinned;
mod product;
mod session;

use std::rc::Rc;

use self::{
    kernels::Kernels, library::Properties, memory::Memory, pinned::PinnedBuffers, product::Products,
    session::Session,
};
use super::{Argument, Gpu, Grid, Product};
use crate::{
    error::{Error, Result},
    pending::Pending,
};

pub use library::{COMPILER, check_kernels, device_count, devices};
pub use lt::cublas;

/// One device. All operations run in order on one stream.
pub struct Driver {
    properties: Properties,
    session: Rc<Session>,
    memory: Memory,
    pinned: Rc<PinnedBuffers>,
    products: Products,
    kernels: Kernels,
}

impl Driver {
    /// Opens the device with this ordinal in CUDA's numbering.
    ///
    /// # Errors
    /// Usage: there is no such device, driver or library, or the device is too old; the error says what is missing and what
    /// helps.
    pub fn open(ordinal: usize) -> Result<Self> {
        let refused = |why: String| Error::usage(format!("cuda:{ordinal}: {why}, or use --device cpu"));
        let count = device_count().map_err(refused)?;
        if ordinal >= count {
            let devices = if count == 1 { "1 device".to_owned() } else { format!("{count} devices") };
            return Err(refused(format!("this machine has {devices}; choose one, counting from 0")));
        }
        let properties = Properties::of(ordinal).map_err(|why| refused(format!("{why}; see nvidia-smi")))?;
        if properties.capability < library::OLDEST_CAPABILITY {
            let (major, minor) = library::OLDEST_CAPABILITY;
            let what = properties.description();
            let why =
                format!("{what}: the kernels need compute capability {major}.{minor}; choose another device");
            return Err(refused(why));
        }
        check_kernels().map_err(refused)?;
        let label = format!("cuda:{ordinal} ({})", properties.name);
        let session = Rc::new(Session::new(label, properties.device)?);
        let kernels = Kernels::new(&session)?;
        lt::version().map_err(refused)?;
        let products = Products::new(&session)?;
        let memory = Memory::new(&session, &properties)?;
        let pinned = Rc::new(PinnedBuffers::new(&session));
        Ok(Self { properties, session, memory, pinned, products, kernels })
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

    fn fetch(&self, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        self.session.enter()?;
        self.pinned.fetch(from, bytes)
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
        self.kernels.launch(kernel, grid, arguments)
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
        let within = k > 0 && self.products.add_bias(p)?;
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
        // Another version of cuBLAS may give different bits.
        format!("{}, cuBLAS {}", self.properties.description(), lt::version().unwrap_or("unknown"))
    }
}
