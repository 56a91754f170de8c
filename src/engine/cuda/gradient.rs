//! The gradient by all weights, in device memory.

use super::weights::tensor;
use crate::{
    engine::Goal,
    error::Result,
    model::{backend::Slot, params::Layout},
    ops::{
        cuda::{
            Buffer, Gpu, fetch,
            sums::{Parts, Sums},
        },
        pending::Pending,
    },
};
use std::rc::Rc;

/// Laid out as the weights.
pub(super) struct WeightGradient {
    buffer: Buffer,
    /// Of its sums over rows.
    pub parts: Parts,
}

impl WeightGradient {
    pub fn new(gpu: &Rc<dyn Gpu>, layout: &Layout) -> Result<Self> {
        let buffer = Buffer::new(gpu);
        // The gaps between tensors stay zeros.
        gpu.clear(buffer.floats(layout.len)?, layout.len * 4)?;
        Ok(Self { buffer, parts: Parts::new(gpu) })
    }

    pub fn address(&self) -> u64 {
        self.buffer.address()
    }

    pub fn fetch(&self, gpu: &dyn Gpu, layout: &Layout) -> Result<Pending<Vec<f32>>> {
        fetch(gpu, self.address(), layout.len)
    }

    /// A tensor's becomes zeros.
    pub fn clear(&self, gpu: &dyn Gpu, slot: &Slot) -> Result<()> {
        gpu.clear(tensor(self.buffer.address(), slot), slot.len() * 4)
    }

    /// The gradients of the embeddings' tables become zeros: most of their rows have no token. That of the words' is left
    /// as it is where the masked-LM head writes it.
    pub fn clear_tables(&self, gpu: &dyn Gpu, layout: &Layout, goal: &Goal) -> Result<()> {
        // The three follow each other.
        let start = match goal {
            Goal::Labels(_) => layout.words.start,
            Goal::MaskedTokens { .. } => layout.positions.start,
        };
        let all = start..layout.segments.end;
        gpu.clear(tensor(self.buffer.address(), &all), all.len() * 4)
    }
}

/// Where the gradient of all parameters goes; each tensor's is written, not added to, but for the embeddings' tables, which
/// are zeros before or, as for the words', what the masked-LM head wrote.
#[derive(Clone, Copy)]
pub(super) struct Gradient<'a> {
    pub address: u64,
    /// Biases' gradients and LayerNorms' are there when these are finished.
    pub sums: &'a Sums<'a>,
}

impl Gradient<'_> {
    /// The address of a tensor's.
    pub fn of(self, slot: &Slot) -> u64 {
        tensor(self.address, slot)
    }
}
