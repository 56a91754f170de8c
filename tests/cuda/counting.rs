//! A device that counts the calls it gets.

use lottery::{
    error::Result,
    ops::{
        cuda::{Argument, Gpu, Grid, Product},
        pending::Pending,
    },
};
use std::{cell::Cell, fmt, rc::Rc};

/// The number of calls of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub kernels: usize,
    pub products: usize,
    /// Within the device's memory.
    pub copies: usize,
    pub clears: usize,
    /// To the device, and from it without waiting.
    pub uploads: usize,
    pub fetches: usize,
    /// Calls that wait for the device: `download` and `wait`.
    pub waits: usize,
    /// Allocations of device memory.
    pub allocations: usize,
}

impl Calls {
    /// The number of operations that the device has to launch.
    pub fn launches(&self) -> usize {
        self.kernels + self.products + self.copies + self.clears + self.uploads + self.fetches
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { kernels, products, copies, clears, uploads, fetches, waits, allocations } = self;
        write!(
            f,
            "{} launches: {kernels} kernels, {products} products, {clears} clears, {copies} copies, {uploads} uploads, \
             {fetches} read back; {waits} waits, {allocations} allocations",
            self.launches()
        )
    }
}

/// Passes all calls on to a device, and counts them.
pub struct CountingGpu {
    gpu: Rc<dyn Gpu>,
    calls: Cell<Calls>,
}

impl CountingGpu {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        Self { gpu: gpu.clone(), calls: Cell::default() }
    }

    /// The calls since the last time.
    pub fn take(&self) -> Calls {
        self.calls.take()
    }

    fn count(&self, add: impl FnOnce(&mut Calls)) {
        let mut calls = self.calls.get();
        add(&mut calls);
        self.calls.set(calls);
    }
}

impl Gpu for CountingGpu {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.count(|calls| calls.allocations += 1);
        self.gpu.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.gpu.free(address);
    }

    fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.count(|calls| calls.uploads += 1);
        self.gpu.upload(from, to)
    }

    fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.count(|calls| calls.waits += 1);
        self.gpu.download(from, to)
    }

    fn fetch(&self, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        self.count(|calls| calls.fetches += 1);
        self.gpu.fetch(from, bytes)
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.count(|calls| calls.copies += 1);
        self.gpu.copy(from, to, bytes)
    }

    fn clear(&self, at: u64, bytes: usize) -> Result<()> {
        self.count(|calls| calls.clears += 1);
        self.gpu.clear(at, bytes)
    }

    fn launch(&self, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        // Without blocks there is nothing to launch.
        self.count(|calls| calls.kernels += usize::from(!grid.blocks.contains(&0)));
        self.gpu.launch(kernel, grid, arguments)
    }

    fn product(&self, product: &Product) -> Result<()> {
        self.count(|calls| calls.products += 1);
        self.gpu.product(product)
    }

    fn wait(&self) -> Result<()> {
        self.count(|calls| calls.waits += 1);
        self.gpu.wait()
    }

    fn description(&self) -> String {
        self.gpu.description()
    }
}
