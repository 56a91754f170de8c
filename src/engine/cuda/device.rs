//! What one pass has on the device.

use super::{batch::Batch, weights::Weights};
use crate::{
    error::Result,
    ops::cuda::{Buffer, Format, Gpu},
};
use std::{cell::OnceCell, rc::Rc};

/// Memory of the device, from the first time that something is written.
pub(super) type Activations = OnceCell<Buffer>;

/// A model's parameters, and a batch of which its head reads some rows.
#[derive(Clone, Copy)]
pub(super) struct Cuda<'a> {
    pub gpu: &'a Rc<dyn Gpu>,
    pub weights: &'a Weights,
    pub batch: &'a Batch,
    /// The address of the gates of all heads, f32.
    pub head_gates: Option<u64>,
}

/// Where a buffer begins; of one that nothing was written to nothing is read.
pub(super) fn address(buffer: &Activations) -> u64 {
    buffer.get().map_or(0, Buffer::address)
}

impl<'a> Cuda<'a> {
    pub fn gpu(&self) -> &'a dyn Gpu {
        &**self.gpu
    }

    pub fn format(&self) -> Format {
        self.weights.format
    }

    pub fn buffer<'b>(&self, buffer: &'b Activations) -> &'b Buffer {
        buffer.get_or_init(|| Buffer::new(self.gpu))
    }

    /// Room for so many activations.
    pub fn fit(&self, buffer: &Activations, len: usize) -> Result<u64> {
        self.buffer(buffer).activations(len, self.format())
    }

    /// Room for so many numbers of f32.
    pub fn floats(&self, buffer: &Activations, len: usize) -> Result<u64> {
        self.buffer(buffer).floats(len)
    }
}
