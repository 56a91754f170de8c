//! A device that does something else than it is asked to.

use std::rc::Rc;

use lottery::{
    error::Result,
    ops::{
        cuda::{Argument, Gpu, Grid, Product},
        pending::Pending,
    },
};

/// Calls `allocate` with the bytes, and `launch` with device, kernel and arguments, before it does what it is asked for.
pub struct Altered<A, L> {
    pub gpu: Rc<dyn Gpu>,
    pub allocate: A,
    pub launch: L,
}

impl<A, L> Gpu for Altered<A, L>
where
    A: Fn(usize) -> Result<()>,
    L: Fn(&dyn Gpu, &str, &[Argument]) -> Result<()>,
{
    fn allocate(&self, bytes: usize) -> Result<u64> {
        (self.allocate)(bytes)?;
        self.gpu.allocate(bytes)
    }
    fn free(&self, address: u64) {
        self.gpu.free(address);
    }
    fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.gpu.upload(from, to)
    }
    fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.gpu.download(from, to)
    }
    fn fetch(&self, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        self.gpu.fetch(from, bytes)
    }
    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.gpu.copy(from, to, bytes)
    }
    fn clear(&self, at: u64, bytes: usize) -> Result<()> {
        self.gpu.clear(at, bytes)
    }
    fn launch(&self, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        (self.launch)(&*self.gpu, kernel, arguments)?;
        self.gpu.launch(kernel, grid, arguments)
    }
    fn product(&self, product: &Product) -> Result<()> {
        self.gpu.product(product)
    }
    fn wait(&self) -> Result<()> {
        self.gpu.wait()
    }
    fn description(&self) -> String {
        self.gpu.description()
    }
}
