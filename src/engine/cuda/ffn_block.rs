//! The feed-forward layer (FFN): up, GELU, down, dropout, residual and LayerNorm; see [`crate::model`]'s of that name.

use super::pass::{Layer, Wanted};
use crate::{
    error::Result,
    ops::{
        cuda::{
            Buffer, Gpu, gates, gelu,
            layer_norm::{self, Gradients, Sublayer},
            linear,
        },
        rng::Purpose,
    },
};
use std::rc::Rc;

/// What the backward pass needs.
pub(super) struct Saved {
    /// (rows, F) before the GELU
    h: Buffer,
    /// (rows, F) after it
    a: Buffer,
    x_hat: Buffer,
    inverse: Buffer,
    /// The FFN's ungated output, kept when gates are wanted: (rows, H).
    output: Buffer,
    pub y: Buffer,
}

/// Buffers that only live within one block.
pub(super) struct Scratch {
    d_product: Buffer,
    d_inner: Buffer,
}

impl Saved {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [h, a, x_hat, inverse, output, y] = [(); 6].map(|()| Buffer::new(gpu));
        Self { h, a, x_hat, inverse, output, y }
    }
}

impl Scratch {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [d_product, d_inner] = [(); 2].map(|()| Buffer::new(gpu));
        Self { d_product, d_inner }
    }
}

fn sublayer(layer: &Layer, residual: Option<u64>) -> Sublayer {
    if !layer.has_ffn() {
        return Sublayer { bias: None, dropout: None, gate: 0.0, residual };
    }
    Sublayer {
        bias: Some(layer.pass.weights.f32(&layer.slots.down_bias)),
        dropout: layer.pass.dropout.and_then(|p| p.hidden(Purpose::FfnOutputDropout, layer.number)),
        gate: layer.pass.gates.map_or(1.0, |gates| gates.ffns[layer.number]),
        residual,
    }
}

/// x (rows, H) → y (rows, H), in `saved`.
pub(super) fn forward(layer: &Layer, x: u64, saved: &Saved) -> Result<()> {
    let (gpu, weights, slots, format) =
        (layer.pass.gpu, layer.pass.weights, layer.slots, layer.pass.format());
    let (r, h, f) = (layer.rows(), layer.pass.hidden(), layer.inner());
    let product = saved.x_hat.activations(r * h, format)?;
    if f > 0 {
        let (inner, a) = (saved.h.activations(r * f, format)?, saved.a.activations(r * f, format)?);
        let (up, down) = (weights.operand(&slots.up_weight), weights.operand(&slots.down_weight));
        // (rows, H) · (H, F), (rows, F) · (F, H)
        linear::forward(gpu, format, x, up, None, (r, h, f), inner, format)?;
        gelu::forward(gpu, format, inner, weights.f32(&slots.up_bias), a, r, f)?;
        linear::forward(gpu, format, a, down, None, (r, f, h), product, format)?;
    } else {
        gpu.clear(product, r * h * format.bytes())?;
    }
    let norm = layer.pass.norm(&slots.ffn_gamma, &slots.ffn_beta);
    let (y, inverse) = (saved.y.activations(r * h, format)?, saved.inverse.floats(r)?);
    let keep = layer.pass.gate_gradients && layer.has_ffn();
    let output = if keep { Some(saved.output.activations(r * h, format)?) } else { None };
    layer_norm::forward(gpu, format, product, &sublayer(layer, Some(x)), &norm, y, inverse, output, r, h)
}

/// dy (rows, H), the gradient of the block's output, becomes that of its input in place.
pub(super) fn backward(
    layer: &Layer,
    x: u64,
    saved: &Saved,
    scratch: &Scratch,
    dy: u64,
    wanted: Wanted,
) -> Result<()> {
    let (gpu, weights, slots, format) =
        (layer.pass.gpu, layer.pass.weights, layer.slots, layer.pass.format());
    let (r, h, f) = (layer.rows(), layer.pass.hidden(), layer.inner());
    let d_product = scratch.d_product.activations(r * h, format)?;
    let sums = match wanted {
        Wanted::Weights(gradient) => Some(Gradients {
            gamma: gradient.of(&slots.ffn_gamma),
            beta: gradient.of(&slots.ffn_beta),
            bias: layer.has_ffn().then(|| gradient.of(&slots.down_bias)),
            sums: gradient.sums,
        }),
        Wanted::Gates(_) => None,
    };
    let end = sublayer(layer, None);
    layer_norm::backward(
        gpu,
        format,
        dy,
        saved.x_hat.address(),
        saved.inverse.address(),
        weights.f32(&slots.ffn_gamma),
        &end,
        layer.has_ffn().then_some(d_product),
        sums.as_ref(),
        r,
        h,
    )?;
    if !layer.has_ffn() {
        return Ok(());
    }
    if let Wanted::Gates(out) = wanted {
        // ∂L/∂gate = ⟨FFN output, ∂L/∂z⟩, z being what the LayerNorm takes in.
        gates::products(gpu, format, saved.output.address(), dy, r, 1, h, out.ffn(layer))?;
        if end.gate == 0.0 {
            return Ok(());
        }
    }
    if f == 0 {
        return Ok(());
    }
    let (up, down) = (weights.operand(&slots.up_weight), weights.operand(&slots.down_weight));
    let (inner, a) = (saved.h.address(), saved.a.address());
    let d_inner = scratch.d_inner.activations(r * f, format)?;
    linear::backward_input(gpu, format, d_product, down, (r, f, h), d_inner, false)?;
    match wanted {
        Wanted::Weights(gradient) => {
            let [d_down, d_up, d_bias] =
                [&slots.down_weight, &slots.up_weight, &slots.up_bias].map(|slot| gradient.of(slot));
            linear::backward_weight(gpu, format, d_product, a, (r, f, h), d_down, false)?;
            gelu::backward(gpu, format, inner, d_inner, r, f, Some((d_bias, gradient.sums)))?;
            linear::backward_weight(gpu, format, d_inner, x, (r, h, f), d_up, false)?;
        }
        Wanted::Gates(_) => gelu::backward(gpu, format, inner, d_inner, r, f, None)?,
    }
    linear::backward_input(gpu, format, d_inner, up, (r, h, f), dy, true)
}
