//! What the kernels run on, and the memory they work in.

use crate::{Format, error::Result, pending::Pending};
use bytemuck::Pod;
use std::{cell::Cell, rc::Rc};

/// One argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    Address(u64),
    U32(u32),
    U64(u64),
    F32(f32),
}

impl Argument {
    /// The value as a kernel reads it, in the lowest bytes.
    pub fn bits(self) -> u64 {
        match self {
            Self::Address(v) | Self::U64(v) => v,
            Self::U32(v) => u64::from(v),
            Self::F32(v) => u64::from(v.to_bits()),
        }
    }
}

/// Blocks, threads of a block, and bytes of dynamic shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub blocks: [u32; 3],
    pub threads: u32,
    pub shared: u32,
}

impl Grid {
    pub fn new(blocks: usize, threads: usize) -> Self {
        Self { blocks: [blocks as u32, 1, 1], threads: threads as u32, shared: 0 }
    }
}

/// A row-major matrix in device memory; its rows are `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub address: u64,
    pub stride: usize,
    pub transposed: bool,
}

/// c (m, n) ← a (m, k) · b (k, n) + bias (n) with sums in f32: a and b are of `format`, c and bias of `c_format`,
/// which is f32 or `format`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub shape: (usize, usize, usize),
    pub format: Format,
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
    pub c_format: Format,
    /// Adds to what c holds.
    pub accumulate: bool,
    pub bias: Option<u64>,
}

/// What the kernels run on: a CUDA device, or its emulation in the tests. Everything is done in the order of the calls;
/// only `download`, `wait` and the values that `fetch` gives wait for it.
pub trait Gpu {
    /// Memory whose content is arbitrary, aligned to 256 bytes.
    ///
    /// # Errors
    /// When the device has not that much left.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Gives back what `allocate` gave, once all that was asked for before is done.
    fn free(&self, address: u64);

    fn upload(&self, from: &[u8], to: u64) -> Result<()>;

    fn download(&self, from: u64, to: &mut [u8]) -> Result<()>;

    /// What is in this memory once all that was asked for before is done, whatever is written there afterwards.
    fn fetch(&self, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>>;

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()>;

    /// Zeros.
    fn clear(&self, at: u64, bytes: usize) -> Result<()>;

    /// Runs the kernel of this name; a grid without blocks is nothing to do.
    fn launch(&self, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()>;

    fn product(&self, product: &Product) -> Result<()>;

    fn wait(&self) -> Result<()>;

    /// The name of the device and of what drives it, for the record.
    fn description(&self) -> String;
}

/// A kernel's name for activations in this format.
pub(super) fn named(kernel: &str, format: Format) -> String {
    format!("{kernel}_{}", format.suffix())
}

/// Memory of a device, which grows when more is wanted of it and is given back with it.
pub struct Buffer {
    gpu: Rc<dyn Gpu>,
    address: Cell<u64>,
    bytes: Cell<usize>,
}

impl Buffer {
    /// Empty until [`Self::fit`] is asked for more.
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        Self { gpu: gpu.clone(), address: Cell::new(0), bytes: Cell::new(0) }
    }

    /// The address of at least this many bytes; what the buffer holds is lost when it has to grow. What grows once may
    /// again: it grows by a quarter at least, where the device has that.
    pub fn fit(&self, bytes: usize) -> Result<u64> {
        let before = self.bytes.get();
        if before < bytes {
            self.give_back();
            let more = bytes.max(before + before / 4);
            let allocate = |bytes| self.gpu.allocate(bytes).map(|address| (address, bytes));
            let (address, taken) =
                allocate(more).or_else(|why| if more > bytes { allocate(bytes) } else { Err(why) })?;
            self.address.set(address);
            self.bytes.set(taken);
        }
        Ok(self.address.get())
    }

    /// Room for `len` activations.
    pub fn activations(&self, len: usize, format: Format) -> Result<u64> {
        self.fit(len * format.bytes())
    }

    /// Room for `len` numbers of f32.
    pub fn floats(&self, len: usize) -> Result<u64> {
        self.fit(len * 4)
    }

    pub fn address(&self) -> u64 {
        self.address.get()
    }

    /// Copies the values to the device, to the beginning of this buffer.
    pub fn upload<T: Pod>(&self, values: &[T]) -> Result<u64> {
        let bytes = bytemuck::cast_slice(values);
        let address = self.fit(bytes.len())?;
        self.gpu.upload(bytes, address)?;
        Ok(address)
    }

    fn give_back(&self) {
        if self.bytes.replace(0) > 0 {
            self.gpu.free(self.address.replace(0));
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// `len` values from device memory; waits for all that was asked for before.
pub fn download<T: Pod>(gpu: &dyn Gpu, from: u64, len: usize) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); len];
    gpu.download(from, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

/// As [`download`], without waiting.
pub fn fetch<T: Pod>(gpu: &dyn Gpu, from: u64, len: usize) -> Result<Pending<Vec<T>>> {
    Ok(gpu.fetch(from, len * size_of::<T>())?.map(|bytes| bytemuck::allocation::pod_collect_to_vec(&bytes)))
}
