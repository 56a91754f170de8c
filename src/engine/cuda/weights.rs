//! A model's parameters in device memory.

use crate::{
    error::Result,
    model::{Bert, BertConfig, Head, LayerShape, params::Layout},
    ops::cuda::{Buffer, Format, Gpu, convert},
};
use std::{ops::Range, rc::Rc};

/// Where a tensor begins in a buffer of f32 that is laid out as the parameters.
pub(super) fn tensor(base: u64, slot: &Range<usize>) -> u64 {
    base + (slot.start * 4) as u64
}

/// The parameters, laid out as on the host, with the model's structure.
pub(super) struct Weights {
    pub config: BertConfig,
    pub shape: Vec<LayerShape>,
    pub head: Head,
    pub layout: Layout,
    pub format: Format,
    master: Buffer,
    /// In bf16, when products take that.
    copy: Option<Buffer>,
    /// The numbers, in the unpruned layers, of all heads, layer after layer.
    numbers: Buffer,
}

impl Weights {
    pub fn upload(gpu: &Rc<dyn Gpu>, bert: &Bert, format: Format) -> Result<Self> {
        let master = Buffer::new(gpu);
        let address = master.upload(&bert.params.data)?;
        let copy = match format {
            Format::F32 | Format::Tf32 => None,
            Format::Bf16 => {
                let (copy, len) = (Buffer::new(gpu), bert.params.data.len());
                convert::to_bf16(&**gpu, address, copy.activations(len, format)?, len)?;
                Some(copy)
            }
        };
        let numbers = Buffer::new(gpu);
        let all = bert.shape.iter().flat_map(|layer| layer.heads.iter().map(|head| *head as u32));
        numbers.upload(&all.collect::<Vec<u32>>())?;
        Ok(Self {
            config: bert.config.clone(),
            shape: bert.shape.clone(),
            head: bert.head,
            layout: bert.params.layout.clone(),
            format,
            master,
            copy,
            numbers,
        })
    }

    /// The address of all parameters in f32.
    pub fn master(&self) -> u64 {
        self.master.address()
    }

    /// The address of their copy in bf16.
    pub fn copy(&self) -> Option<u64> {
        self.copy.as_ref().map(Buffer::address)
    }

    /// A tensor in f32.
    pub fn f32(&self, slot: &Range<usize>) -> u64 {
        tensor(self.master(), slot)
    }

    /// A tensor in the format of the products' operands.
    pub fn operand(&self, slot: &Range<usize>) -> u64 {
        let base = self.copy().unwrap_or(self.master());
        base + (slot.start * self.format.bytes()) as u64
    }

    /// The numbers that this layer's heads had before any was removed.
    pub fn numbers(&self, layer: usize) -> u64 {
        let before: usize = self.shape[..layer].iter().map(|layer| layer.heads.len()).sum();
        self.numbers.address() + (before * 4) as u64
    }
}
