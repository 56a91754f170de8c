//! The encoder: embeddings and layers, forward and backward. What a head reads is all that its last layer computes.

use super::{
    attention_block,
    bert::Bert,
    embeddings, ffn_block,
    gates::{GateGradients, Gates},
    params::{LayerSlots, Params},
    shape::LayerShape,
};
use crate::ops::{Format, dropout::DropoutPlan, fit, layer_norm::Norm};
use std::ops::Range;

/// A packed batch: `B` sequences one behind another, `T` tokens in all, no padding.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// (T) word ids
    pub ids: &'a [u32],
    /// (T) positions within the sequence
    pub positions: &'a [u32],
    /// (T) segment ids
    pub segments: &'a [u32],
    /// (B + 1) where sequences begin
    pub offsets: &'a [usize],
}

impl Input<'_> {
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// What one pass does besides computing the head's output.
#[derive(Clone, Copy, Default)]
pub struct Pass<'a> {
    /// Dropout masks; `None` in evaluation.
    pub dropout: Option<&'a DropoutPlan>,
    /// Multipliers on the units of an unpruned model.
    pub gates: Option<&'a Gates>,
    /// Whether a backward pass will follow.
    pub keep: bool,
    /// Whether that will be for gate gradients.
    pub gate_gradients: bool,
    /// What the products read their operands in.
    pub format: Format,
}

/// What a backward pass is for. Gate gradients need no weight gradient, and no input gradient below the first layer.
pub enum Wanted<'a> {
    /// Adds the gradients of all parameters to a buffer laid out like them.
    Weights(&'a mut [f32]),
    Gates(&'a mut GateGradients),
}

impl Wanted<'_> {
    /// The parameters' gradients, when they are wanted.
    pub(super) fn weights(&mut self) -> Option<&mut [f32]> {
        match self {
            Self::Weights(gradient) => Some(gradient),
            Self::Gates(_) => None,
        }
    }
}

/// Rows of a packed batch, ascending.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub rows: Vec<usize>,
    /// (B + 1) where each sequence's part of `rows` begins
    pub offsets: Vec<usize>,
}

/// The activations and scratch space of a pass; reused from batch to batch.
#[derive(Default)]
pub(super) struct Saved {
    /// What the head reads; to be set before the forward pass.
    pub chosen: Chosen,
    /// The gradient of what it reads, (chosen rows, H); to be set before the backward pass.
    pub dy: Vec<f32>,
    /// (T, H) a layer's input, and in the end the last one's output (chosen rows, H)
    x: Vec<f32>,
    /// (T, H) what is between its two blocks
    between: Vec<f32>,
    embeddings: embeddings::Saved,
    layers: Vec<LayerSaved>,
    attention: attention_block::Scratch,
    ffn: ffn_block::Scratch,
}

impl Saved {
    /// (chosen rows, H): the encoder's output.
    pub fn output(&self, h: usize) -> &[f32] {
        &self.x[..self.chosen.rows.len() * h]
    }
}

#[derive(Default)]
struct LayerSaved {
    attention: attention_block::Saved,
    ffn: ffn_block::Saved,
}

/// One layer in the context of one pass.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub number: usize,
    pub params: &'a Params,
    pub slots: &'a LayerSlots,
    pub shape: &'a LayerShape,
    pub head_size: usize,
    pub hidden: usize,
    /// F: the inner width of the FFN.
    pub inner: usize,
    pub epsilon: f32,
    /// Heads of the unpruned layer.
    heads_total: usize,
    pub offsets: &'a [usize],
    pub query_offsets: &'a [usize],
    /// The rows that are computed, when they are not all of them.
    pub chosen: Option<&'a [usize]>,
    pub dropout: Option<&'a DropoutPlan>,
    pub gates: Option<&'a Gates>,
    pub format: Format,
}

impl<'a> Layer<'a> {
    /// Rows of the input.
    pub fn tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// Rows of the output.
    pub fn rows(&self) -> usize {
        self.query_offsets[self.query_offsets.len() - 1]
    }

    /// A: the width of all heads together.
    pub fn width(&self) -> usize {
        self.shape.heads.len() * self.head_size
    }

    pub fn norm(&self, gamma: &Range<usize>, beta: &Range<usize>) -> Norm<'a> {
        Norm { gamma: self.params.at(gamma), beta: self.params.at(beta), epsilon: self.epsilon }
    }

    /// This layer's part of [`Gates::heads`].
    pub fn head_range(&self) -> Range<usize> {
        self.number * self.heads_total..(self.number + 1) * self.heads_total
    }
}

fn layer<'a>(
    bert: &'a Bert,
    number: usize,
    input: &Input<'a>,
    chosen: &'a Chosen,
    pass: &Pass<'a>,
) -> Layer<'a> {
    let last = number + 1 == bert.shape.len();
    Layer {
        number,
        params: &bert.params,
        slots: &bert.params.layout.layers[number],
        shape: &bert.shape[number],
        head_size: bert.config.head_size(),
        hidden: bert.config.hidden_size,
        inner: bert.shape[number].ffn.width(bert.config.intermediate_size),
        epsilon: bert.config.layer_norm_eps as f32,
        heads_total: bert.config.num_attention_heads,
        offsets: input.offsets,
        query_offsets: if last { &chosen.offsets } else { input.offsets },
        chosen: last.then_some(&chosen.rows),
        dropout: pass.dropout,
        gates: pass.gates,
        format: pass.format,
    }
}

/// Computes the output at the chosen rows. Gates need all units present.
pub(super) fn forward(bert: &Bert, input: &Input, pass: &Pass, saved: &mut Saved) {
    assert!(pass.gates.is_none() || bert.shape == bert.config.full_shape(), "gates are for unpruned models");
    let Saved { chosen, x, between, embeddings, layers: saved, attention, ffn, .. } = saved;
    saved.resize_with(bert.shape.len(), LayerSaved::default);
    let all = input.tokens() * bert.config.hidden_size;
    embeddings::forward(&bert.config, &bert.params, input, pass.dropout, embeddings, fit(x, all));
    for l in 0..bert.shape.len() {
        let layer = layer(bert, l, input, chosen, pass);
        let rows = layer.rows() * layer.hidden;
        // Without a backward pass one layer's buffers serve all.
        let saved = &mut saved[if pass.keep { l } else { 0 }];
        attention_block::forward(&layer, &x[..all], &mut saved.attention, attention, fit(between, rows));
        ffn_block::forward(&layer, pass, &between[..rows], &mut saved.ffn, ffn, &mut x[..rows]);
    }
}

/// From the gradient of the output, in `saved.dy`, to all that is wanted; once after a `forward` of the same input and
/// pass with `keep`. The blocks' inputs, which gradients of weights need, are not kept but computed again from x̂.
pub(super) fn backward(bert: &Bert, input: &Input, pass: &Pass, saved: &mut Saved, mut wanted: Wanted) {
    let (layers, h, t) = (bert.shape.len(), bert.config.hidden_size, input.tokens());
    let Saved { chosen, dy, x, between, embeddings, layers: saved, attention, ffn } = saved;
    if let Wanted::Gates(out) = &mut wanted {
        out.layers.resize_with(layers, Default::default);
        out.layers.iter_mut().for_each(|l| {
            l.heads.clear();
            l.ffn.clear();
        });
    }
    for l in (0..layers).rev() {
        let this = layer(bert, l, input, chosen, pass);
        let (x, y) = (&mut x[..t * h], &mut between[..this.rows() * h]);
        if wanted.weights().is_some() {
            saved[l].attention.output(&this, y);
            match l.checked_sub(1) {
                Some(below) => saved[below].ffn.output(&layer(bert, below, input, chosen, pass), x),
                None => embeddings.output(&bert.config, &bert.params, pass.dropout, x),
            }
        }
        ffn_block::backward(&this, y, &mut saved[l].ffn, ffn, &mut dy[..this.rows() * h], &mut wanted);
        attention_block::backward(&this, x, &saved[l].attention, attention, dy, &mut wanted);
    }
    if let Wanted::Weights(gradient) = wanted {
        let (dy, scratch) = (&mut dy[..t * h], fit(between, t * h));
        embeddings::backward(&bert.params, input, pass.dropout, embeddings, dy, scratch, gradient);
    }
}
