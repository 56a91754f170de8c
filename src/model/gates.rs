//! Gates on units and their gradients.
//!
//! A head's gate multiplies its context before the output projection; an FFN's gate multiplies the FFN's output after
//! dense, bias and dropout, before the residual (Michel et al. 2019, eq. 4; Prasanna et al. 2020, section 3).

/// One multiplier per unit of an unpruned model: heads row by row, layer · H + head.
#[derive(Clone, Debug, PartialEq)]
pub struct Gates {
    pub heads: Vec<f32>,
    pub ffns: Vec<f32>,
}

/// Gate gradients of one layer, before any sum: one number per (output row, unit).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerGateGradients {
    /// (rows, heads that the layer has)
    pub heads: Vec<f32>,
    /// (rows); empty when the layer has no FFN
    pub ffn: Vec<f32>,
}

/// ∂L/∂gate at every output row of every layer. The last layer computes only what the head reads, for a classifier each
/// sequence's first token: all other rows' gradients are 0 there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateGradients {
    pub layers: Vec<LayerGateGradients>,
}

/// Scales each head's columns of x (rows, heads · d).
pub(super) fn scale_heads(x: &mut [f32], gates: &[f32], d: usize) {
    for row in x.chunks_mut(gates.len() * d) {
        for (part, gate) in row.chunks_mut(d).zip(gates) {
            part.iter_mut().for_each(|v| *v *= gate);
        }
    }
}

/// ⟨x, dx⟩ of every row and head: x and dx as (rows, heads · d).
pub(super) fn products(x: &[f32], dx: &[f32], d: usize, out: &mut Vec<f32>) {
    out.clear();
    let pairs = x.chunks(d).zip(dx.chunks(d));
    out.extend(pairs.map(|(a, b)| crate::ops::simd::inner_product(a, b)));
}
