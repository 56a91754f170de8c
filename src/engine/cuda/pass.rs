//! What all parts of one pass share.

use super::{
    batch::{Batch, Part},
    weights::{Weights, tensor},
};
use crate::{
    error::Result,
    model::{GateGradients, gates::LayerGateGradients, params::LayerSlots},
    ops::{
        cuda::{Buffer, Format, Gpu, attention, fetch, layer_norm::Norm, sums::Sums},
        dropout::DropoutPlan,
        pending::Pending,
    },
};
use std::ops::Range;

/// Multipliers on the units of an unpruned model.
#[derive(Clone, Copy)]
pub(super) struct Gates<'a> {
    /// The address of those of all heads, f32.
    pub heads: u64,
    pub ffns: &'a [f32],
}

/// What a backward pass is for; see [`crate::model::Wanted`].
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    Weights(Gradient<'a>),
    Gates(&'a GateOutputs),
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
    pub fn of(self, slot: &Range<usize>) -> u64 {
        tensor(self.address, slot)
    }
}

/// Where the gate gradients of all layers go, f32.
pub(super) struct GateOutputs {
    base: u64,
    /// First number of each layer: (rows, heads), then (rows) if it has an FFN.
    starts: Vec<usize>,
    len: usize,
}

impl GateOutputs {
    pub fn new(pass: &Pass, buffer: &Buffer) -> Result<Self> {
        let mut len = 0;
        let starts = (0..pass.weights.shape.len())
            .map(|l| {
                let (layer, start) = (pass.layer(l), len);
                len += layer.rows() * (layer.heads() + usize::from(layer.has_ffn()));
                start
            })
            .collect();
        Ok(Self { base: buffer.floats(len)?, starts, len })
    }

    /// All of them, for the host.
    pub fn fetch(&self, pass: &Pass) -> Result<Pending<GateGradients>> {
        let lens = (0..self.starts.len()).map(|l| {
            let layer = pass.layer(l);
            (layer.rows() * layer.heads(), if layer.has_ffn() { layer.rows() } else { 0 })
        });
        let lens: Vec<(usize, usize)> = lens.collect();
        let all = fetch::<f32>(pass.gpu, self.base, self.len)?;
        Ok(all.map(move |all| {
            let mut rest = &all[..];
            let mut take = |len| {
                let (taken, others) = rest.split_at(len);
                rest = others;
                taken.to_vec()
            };
            let layers =
                lens.iter().map(|(heads, ffn)| LayerGateGradients { heads: take(*heads), ffn: take(*ffn) });
            GateGradients { layers: layers.collect() }
        }))
    }

    pub fn heads(&self, layer: usize) -> u64 {
        self.base + (self.starts[layer] * 4) as u64
    }

    pub fn ffn(&self, layer: &Layer) -> u64 {
        self.heads(layer.number) + (layer.rows() * layer.heads() * 4) as u64
    }
}

#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub gpu: &'a dyn Gpu,
    pub weights: &'a Weights,
    pub batch: &'a Batch,
    pub dropout: Option<&'a DropoutPlan>,
    pub gates: Option<Gates<'a>>,
    /// Whether a backward pass for gate gradients will follow.
    pub gate_gradients: bool,
}

impl<'a> Pass<'a> {
    pub fn format(&self) -> Format {
        self.weights.format
    }

    pub fn hidden(&self) -> usize {
        self.weights.config.hidden_size
    }

    pub fn norm(&self, gamma: &Range<usize>, beta: &Range<usize>) -> Norm {
        Norm {
            gamma: self.weights.f32(gamma),
            beta: self.weights.f32(beta),
            epsilon: self.weights.config.layer_norm_eps as f32,
        }
    }

    pub fn layer(&self, number: usize) -> Layer<'a> {
        let last = number + 1 == self.weights.shape.len();
        Layer { pass: *self, number, last, slots: &self.weights.layout.layers[number] }
    }
}

/// One layer in one pass. The last computes chosen rows only.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub pass: Pass<'a>,
    pub number: usize,
    pub last: bool,
    pub slots: &'a LayerSlots,
}

impl<'a> Layer<'a> {
    pub fn rows(&self) -> usize {
        if self.last { self.pass.batch.chosen } else { self.pass.batch.tokens }
    }

    /// Heads that the layer has.
    pub fn heads(&self) -> usize {
        self.pass.weights.shape[self.number].heads.len()
    }

    pub fn has_ffn(&self) -> bool {
        self.pass.weights.shape[self.number].ffn.is_present()
    }

    /// F: the inner width of the FFN.
    pub fn inner(&self) -> usize {
        let weights = self.pass.weights;
        weights.shape[self.number].ffn.width(weights.config.intermediate_size)
    }

    pub fn head_size(&self) -> usize {
        self.pass.weights.config.head_size()
    }

    /// A: the width of all heads together.
    pub fn width(&self) -> usize {
        self.heads() * self.head_size()
    }

    /// The gates of this layer's heads.
    pub fn head_gates(&self) -> Option<u64> {
        let before = self.number * self.pass.weights.config.num_attention_heads;
        self.pass.gates.map(|gates| gates.heads + (before * 4) as u64)
    }

    pub fn attention_shape(&self) -> attention::Shape {
        let batch = self.pass.batch;
        attention::Shape {
            sequences: batch.sequences,
            heads: self.heads(),
            head_size: self.head_size(),
            queries: batch.at(if self.last { Part::ChosenOffsets } else { Part::Offsets }),
            keys: batch.at(Part::Offsets),
            numbers: self.pass.weights.numbers(self.number),
            longest_query: if self.last { batch.longest_chosen } else { batch.longest },
            longest_key: batch.longest,
            rows: self.rows(),
        }
    }

    /// Dropout's mask on the probabilities, whose bits are in this buffer.
    pub fn attention_mask(
        &self,
        shape: &attention::Shape,
        bits: &Buffer,
    ) -> Result<Option<attention::Mask<'a>>> {
        let site = |plan: &&DropoutPlan| plan.attention(self.number, 0, 0).is_some();
        let Some(plan) = self.pass.dropout.filter(site) else { return Ok(None) };
        let bits = bits.fit(attention::words_of_bits(self.pass.format(), shape) * 4)?;
        Ok(Some(attention::Mask { plan, layer: self.number, bits }))
    }
}
