//! The feed-forward layer (FFN): up, activation, down, dropout, residual and LayerNorm.

use super::{
    backend::{Backend, Bias, Done, Norm, Normed, Sublayer, Unit},
    pass::{Layer, Wanted},
};
use crate::ops::{product::Write, rng::Purpose};

/// What the backward pass needs.
#[derive(Default)]
pub(crate) struct Saved<B> {
    /// (rows, F) before the activation
    inner: B,
    /// (rows, F) after it, where outputs are kept
    a: B,
    pub normed: Normed<B>,
    /// The FFN's ungated output, kept when gates are wanted: (rows, H).
    output: B,
}

/// Buffers that only live within one block.
#[derive(Default)]
pub(crate) struct Scratch<B> {
    d_product: B,
    /// (rows, F): the gradient before the activation, and where outputs are not kept what the forward pass has after it.
    inner: B,
}

pub(super) fn norm<'a>(layer: &Layer<'a>) -> Norm<'a> {
    Norm { gamma: &layer.slots.ffn_gamma, beta: &layer.slots.ffn_beta }
}

fn sublayer<'a, B>(layer: &Layer<'a>, residual: Option<&'a B>) -> Sublayer<'a, B> {
    if !layer.has_ffn() {
        return Sublayer { bias: None, dropout: None, gate: 0.0, residual };
    }
    Sublayer {
        bias: Some(&layer.slots.down_bias),
        dropout: layer.pass.dropout.and_then(|p| p.hidden(Purpose::FfnOutputDropout, layer.number)),
        gate: layer.pass.gates.map_or(1.0, |g| g.ffns[layer.number]),
        residual,
    }
}

/// x (rows, H) → y (rows, H)
pub(super) fn forward<O: Backend>(
    ops: &O,
    layer: &Layer,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
    scratch: &mut Scratch<O::Buffer>,
    y: &mut O::Buffer,
) -> Done<O> {
    let (r, h, f, slots) = (layer.rows, layer.hidden, layer.inner, layer.slots);
    let Saved { inner, a, normed, output } = saved;
    if f > 0 {
        let a = if O::KEEPS_OUTPUTS { a } else { &mut scratch.inner };
        // (rows, H) · (H, F), (rows, F) · (F, H)
        let (function, keep) = (layer.activation, layer.pass.keep);
        ops.linear_activation(function, x, &slots.up_weight, &slots.up_bias, (r, h, f), inner, a, keep)?;
        ops.linear(a, &slots.down_weight, None, (r, f, h), &mut normed.x_hat)?;
    } else {
        ops.clear(&mut normed.x_hat, r * h)?;
    }
    let output = (layer.pass.gate_gradients && layer.has_ffn()).then_some(output);
    ops.norm(r, normed, &sublayer(layer, Some(x)), norm(layer), y, output)
}

/// ‖output‖² at every row.
pub(super) fn squared_norms<O: Backend>(
    ops: &O,
    layer: &Layer,
    saved: &Saved<O::Buffer>,
    out: &mut O::GateGradients,
) -> Done<O> {
    let output = &saved.output;
    if layer.has_ffn() { ops.gate_products(layer, Unit::Ffn, output, output, out) } else { Ok(()) }
}

/// dy (rows, H), the gradient of the block's output, becomes that of its input in place. The input x (rows, H) is read
/// where gradients of weights are wanted.
pub(super) fn backward<O: Backend>(
    ops: &O,
    layer: &Layer,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
    scratch: &mut Scratch<O::Buffer>,
    dy: &mut O::Buffer,
    wanted: &mut Wanted<O::Gradient, O::GateGradients>,
) -> Done<O> {
    let (r, h, f, slots) = (layer.rows, layer.hidden, layer.inner, layer.slots);
    let (Saved { inner, a, normed, output }, Scratch { d_product, inner: d_inner }) = (saved, scratch);
    let end = sublayer(layer, None);
    ops.norm_backward(r, dy, normed, &end, norm(layer), d_product, wanted.weights())?;
    if !layer.has_ffn() {
        return Ok(());
    }
    if let Wanted::Gates(out) = wanted {
        // ∂L/∂gate = ⟨FFN output, ∂L/∂z⟩, z being what the LayerNorm takes in.
        ops.gate_products(layer, Unit::Ffn, output, dy, out)?;
        if end.gate == 0.0 {
            return Ok(());
        }
    }
    if f == 0 {
        // Without neurons the output's bias is left.
        let (weight, bias) = (&slots.down_weight, Bias::Fused(&slots.down_bias));
        return match wanted.weights() {
            Some(gradient) => ops.linear_backward_weight(d_product, a, (r, 0, h), weight, bias, gradient),
            None => Ok(()),
        };
    }
    let down = [&slots.down_weight, &slots.down_bias, &slots.up_bias];
    let (function, gradient) = (layer.activation, wanted.weights());
    ops.activation_linear_backward(function, d_product, down, (r, f, h), inner, a, d_inner, gradient)?;
    if let Some(gradient) = wanted.weights() {
        let bias = Bias::Fused(&slots.up_bias);
        ops.linear_backward_weight(d_inner, x, (r, h, f), &slots.up_weight, bias, gradient)?;
    }
    ops.linear_backward_input(d_inner, &slots.up_weight, (r, h, f), dy, Write::Add)
}
