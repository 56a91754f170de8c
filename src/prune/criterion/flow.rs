//! SynFlow on the encoder (Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic
//! flow"): a linear network of the weights' absolute values, in f64, whose input is all ones.
//!
//! In each layer it has |W_V| and |W_O| (every token alike, so attention is uniform), then |W_1| and |W_2|; LayerNorm and
//! activation are left out, biases are 0, and queries and keys are off the path. With R = Σ of the outputs the score of a
//! weight is S(w) = |w| ∂R/∂|w|, here divided by R, so that neither depth nor the scale of a matrix matters: a matrix of
//! the chain has Σ S = 1.
//!
//! What enters a neuron leaves it: Σ S over the row of W_1 equals Σ S over the column of W_2, and so for a head and its
//! part of W_V and W_O. That no matrix is ever emptied follows for the chain alone; with residuals a branch can die while
//! R stays.

use crate::model::{Bert, Gates};
use std::ops::Range;

/// A matrix on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// (A, H)
    Value,
    /// (H, A)
    Output,
    /// (F, H)
    Up,
    /// (H, F)
    Down,
}

impl Matrix {
    pub const ALL: [Self; 4] = [Self::Value, Self::Output, Self::Up, Self::Down];

    /// Where it lies among the model's parameters.
    pub fn range(self, bert: &Bert, layer: usize) -> Range<usize> {
        let slots = &bert.params.layout.layers[layer];
        match self {
            Self::Value => slots.qkv_weight.end - slots.qkv_weight.len() / 3..slots.qkv_weight.end,
            Self::Output => slots.output_weight.clone(),
            Self::Up => slots.up_weight.clone(),
            Self::Down => slots.down_weight.clone(),
        }
    }
}

/// The flow through a model that has all heads and FFNs.
pub struct Flow<'a> {
    bert: &'a Bert,
    /// Attention and FFN of each layer.
    sublayers: Vec<[Sublayer; 2]>,
}

/// Signals are forward, and derivatives of R by them backward, each times a factor that is the sublayer's own.
#[derive(Default)]
struct Sublayer {
    /// (H) what enters
    x: Vec<f64>,
    /// (inner) behind the first matrix, before gates
    inner: Vec<f64>,
    /// (inner)
    gates: Vec<f64>,
    /// (inner) ∂R by what leaves the gates
    d_inner: Vec<f64>,
    /// (H) ∂R by what leaves the sublayer
    d_out: Vec<f64>,
    /// R times both factors
    total: f64,
}

impl<'a> Flow<'a> {
    /// A sublayer whose gates are all 0 passes its input on. With `residual` every sublayer adds its input to its output.
    pub fn new(bert: &'a Bert, gates: &Gates, residual: bool) -> Self {
        let (heads, d) = (bert.config.num_attention_heads, bert.config.head_size());
        let mut flow = Self { bert, sublayers: Vec::new() };
        let mut x = vec![1.0; bert.config.hidden_size];
        for layer in 0..bert.shape.len() {
            let of_heads = gates.heads[layer * heads..][..heads].iter();
            let of_heads = of_heads.flat_map(|gate| vec![f64::from(*gate); d]).collect();
            let width = flow.weights(Matrix::Up, layer).len() / x.len();
            let of_ffn = vec![f64::from(gates.ffns[layer]); width];
            let [attention, rest] =
                [(Matrix::Value, Matrix::Output, of_heads), (Matrix::Up, Matrix::Down, of_ffn)].map(
                    |(first, second, gates)| {
                        let mut sublayer = Sublayer { x: x.clone(), gates, ..Sublayer::default() };
                        x = flow.forward(layer, (first, second), &mut sublayer, residual);
                        sublayer
                    },
                );
            flow.sublayers.push([attention, rest]);
        }
        flow.backward(residual);
        flow
    }

    /// What leaves a sublayer, with a sum of 1 where there is any.
    fn forward(
        &self,
        layer: usize,
        (first, second): (Matrix, Matrix),
        sub: &mut Sublayer,
        residual: bool,
    ) -> Vec<f64> {
        sub.inner = times(self.weights(first, layer), &sub.x);
        let gated: Vec<f64> = sub.inner.iter().zip(&sub.gates).map(|(v, gate)| v * gate).collect();
        let is_open = sub.is_open();
        let mut out = if is_open { times(self.weights(second, layer), &gated) } else { sub.x.clone() };
        if residual && is_open {
            out.iter_mut().zip(&sub.x).for_each(|(out, x)| *out += x);
        }
        scaled(out)
    }

    fn backward(&mut self, residual: bool) {
        let mut d_out = vec![1.0; self.bert.config.hidden_size];
        for layer in (0..self.sublayers.len()).rev() {
            for (place, first, second) in [(1, Matrix::Up, Matrix::Down), (0, Matrix::Value, Matrix::Output)]
            {
                let d_inner = transposed(self.weights(second, layer), &d_out);
                let sub = &self.sublayers[layer][place];
                let gated: Vec<f64> = d_inner.iter().zip(&sub.gates).map(|(d, gate)| d * gate).collect();
                let mut d_x = transposed(self.weights(first, layer), &gated);
                if residual || !sub.is_open() {
                    d_x.iter_mut().zip(&d_out).for_each(|(d_x, d_out)| *d_x += d_out);
                }
                let total = d_x.iter().zip(&sub.x).map(|(d, x)| d * x).sum();
                let sub = &mut self.sublayers[layer][place];
                (sub.d_inner, sub.total) = (d_inner, total);
                sub.d_out = std::mem::replace(&mut d_out, scaled(d_x));
            }
        }
    }

    fn weights(&self, matrix: Matrix, layer: usize) -> &[f32] {
        &self.bert.params.data[matrix.range(self.bert, layer)]
    }

    /// S of every weight of a matrix, row by row; zeros where nothing reaches the outputs.
    pub fn scores(&self, matrix: Matrix, layer: usize) -> Vec<f64> {
        let sub = &self.sublayers[layer][usize::from(matches!(matrix, Matrix::Up | Matrix::Down))];
        let gated = |signal: &[f64]| signal.iter().zip(&sub.gates).map(|(v, gate)| v * gate).collect();
        let (rows, columns): (Vec<f64>, Vec<f64>) = match matrix {
            Matrix::Value | Matrix::Up => (gated(&sub.d_inner), sub.x.clone()),
            Matrix::Output | Matrix::Down => (sub.d_out.clone(), gated(&sub.inner)),
        };
        let weights = self.weights(matrix, layer).chunks(columns.len().max(1));
        let row = |(weights, d): (&[f32], &f64)| -> Vec<f64> {
            let products = weights.iter().zip(&columns).map(|(w, x)| sub.share(d * f64::from(w.abs()) * x));
            products.collect()
        };
        weights.zip(&rows).flat_map(row).collect()
    }

    /// Σ S over the weights of each head of a layer; of a pruned one what it would be behind an open gate.
    pub fn heads(&self, layer: usize) -> Vec<f64> {
        self.sublayers[layer][0]
            .inner_flow()
            .chunks(self.bert.config.head_size())
            .map(both_matrices)
            .collect()
    }

    /// Σ S over the weights of a layer's FFN, pruned or not.
    pub fn ffn(&self, layer: usize) -> f64 {
        both_matrices(&self.sublayers[layer][1].inner_flow())
    }
}

impl Sublayer {
    fn is_open(&self) -> bool {
        self.gates.iter().any(|gate| *gate != 0.0)
    }

    fn share(&self, flow: f64) -> f64 {
        if self.total > 0.0 { flow / self.total } else { 0.0 }
    }

    /// What flows through each neuron, gates open.
    fn inner_flow(&self) -> Vec<f64> {
        self.inner.iter().zip(&self.d_inner).map(|(v, d)| self.share(v * d)).collect()
    }
}

/// What flows through neurons flows through the matrix before them and the one behind. Rounded to f32, so that flows which
/// differ in their last bits alone are equal.
fn both_matrices(flow: &[f64]) -> f64 {
    f64::from((2.0 * flow.iter().sum::<f64>()) as f32)
}

/// |W| x, W being (n, x).
fn times(weights: &[f32], x: &[f64]) -> Vec<f64> {
    let row = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(w.abs()) * x).sum();
    weights.chunks(x.len().max(1)).map(row).collect()
}

/// |W|ᵀ d, W being (d, n).
fn transposed(weights: &[f32], d: &[f64]) -> Vec<f64> {
    let width = weights.len() / d.len().max(1);
    let mut out = vec![0.0; width];
    for (row, d) in weights.chunks(width.max(1)).zip(d) {
        out.iter_mut().zip(row).for_each(|(out, w)| *out += f64::from(w.abs()) * d);
    }
    out
}

fn scaled(mut values: Vec<f64>) -> Vec<f64> {
    let sum: f64 = values.iter().sum();
    if sum > 0.0 {
        values.iter_mut().for_each(|v| *v /= sum);
    }
    values
}

#[cfg(test)]
mod tests;
