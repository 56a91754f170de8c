//! What one pass of a model over a batch is: its input, what it is for, and each layer in it.

use super::{
    config::BertConfig,
    gates::{GateGradients, Gates},
    params::{Head, LayerSlots, Layout},
    shape::LayerShape,
};
use crate::ops::{Format, activation::Activation, dropout::DropoutPlan, embedding::NO_ROW};
use std::{borrow::Cow, ops::Range};

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

impl<'a> Input<'a> {
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The row of the table of positions that each token takes (T). Where positions are counted from padding, the first
    /// row is that of tokens of this id.
    pub(crate) fn position_rows(&self, padding: Option<u32>) -> Cow<'a, [u32]> {
        let Some(padding) = padding else { return Cow::Borrowed(self.positions) };
        let rows = self.offsets.windows(2).flat_map(|at| {
            let mut words = 0;
            self.ids[at[0]..at[1]].iter().map(move |id| {
                words += u32::from(*id != padding);
                if *id == padding { 0 } else { words }
            })
        });
        Cow::Owned(rows.collect())
    }

    /// The rows of words and of positions that learn from each token (T): none from padding.
    pub(crate) fn learning_rows(&self, padding: Option<u32>) -> [Cow<'a, [u32]>; 2] {
        let rows = [Cow::Borrowed(self.ids), self.position_rows(padding)];
        match padding {
            Some(padding) if self.ids.contains(&padding) => rows.map(|rows| {
                let row = |(id, row): (&u32, &u32)| if *id == padding { NO_ROW } else { *row };
                self.ids.iter().zip(&*rows).map(row).collect()
            }),
            _ => rows,
        }
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
pub enum Wanted<'a, G: ?Sized = [f32], U = GateGradients> {
    /// Adds the gradients of all parameters to a buffer laid out like them.
    Weights(&'a mut G),
    Gates(&'a mut U),
}

impl<G: ?Sized, U> Wanted<'_, G, U> {
    /// The parameters' gradients, when they are wanted.
    pub(super) fn weights(&mut self) -> Option<&mut G> {
        match self {
            Self::Weights(gradient) => Some(gradient),
            Self::Gates(_) => None,
        }
    }
}

/// One pass of a model over a batch.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub config: &'a BertConfig,
    pub shape: &'a [LayerShape],
    pub head: Head,
    pub layout: &'a Layout,
    pub pass: Pass<'a>,
    /// T
    pub tokens: usize,
    /// Rows that the head reads.
    pub read: usize,
}

impl<'a> Run<'a> {
    pub fn layer(&self, number: usize) -> Layer<'a> {
        let is_last = number + 1 == self.shape.len();
        let shape = &self.shape[number];
        Layer {
            number,
            is_last,
            shape,
            slots: &self.layout.layers[number],
            pass: self.pass,
            tokens: self.tokens,
            rows: if is_last { self.read } else { self.tokens },
            hidden: self.config.hidden_size,
            inner: shape.ffn.width(self.config.intermediate_size),
            head_size: self.config.head_size(),
            heads_total: self.config.num_attention_heads,
            activation: self.config.activation,
            drops_attention_output: self.config.family.drops_attention_output,
        }
    }
}

/// One layer in one pass. The last computes only the rows that the head reads.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub number: usize,
    pub is_last: bool,
    pub shape: &'a LayerShape,
    pub slots: &'a LayerSlots,
    pub pass: Pass<'a>,
    /// Rows of the input.
    pub tokens: usize,
    /// Rows of the output.
    pub rows: usize,
    pub hidden: usize,
    /// F: the inner width of the FFN.
    pub inner: usize,
    pub head_size: usize,
    /// Heads of the unpruned layer.
    heads_total: usize,
    /// The FFN's.
    pub activation: Activation,
    pub drops_attention_output: bool,
}

impl Layer<'_> {
    /// Heads that the layer has.
    pub fn heads(&self) -> usize {
        self.shape.heads.len()
    }

    /// A: the width of all heads together.
    pub fn width(&self) -> usize {
        self.heads() * self.head_size
    }

    pub fn has_ffn(&self) -> bool {
        self.shape.ffn.is_present()
    }

    /// This layer's part of [`Gates::heads`].
    pub fn head_range(&self) -> Range<usize> {
        self.number * self.heads_total..(self.number + 1) * self.heads_total
    }
}
