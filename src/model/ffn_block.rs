//! The feed-forward layer (FFN): up, GELU, down, dropout, residual and LayerNorm.

use super::{
    encoder::{Layer, Pass, Wanted},
    params::disjoint,
};
use crate::ops::{
    fit, gelu,
    layer_norm::{self, Gradients, Sublayer},
    linear,
    product::Write,
    rng::Purpose,
    simd::inner_product,
};

/// What the backward pass needs.
#[derive(Default)]
pub(super) struct Saved {
    /// (rows, F) before the GELU
    h: Vec<f32>,
    /// (rows, H) before the LayerNorm's scale and shift
    x_hat: Vec<f32>,
    inverse: Vec<f32>,
    /// The FFN's ungated output, kept when gates are wanted: (rows, H).
    output: Vec<f32>,
}

/// Buffers that only live within one block.
#[derive(Default)]
pub(super) struct Scratch {
    d_product: Vec<f32>,
    /// (rows, F): what the forward pass has after the GELU, and the backward pass as the gradient before it.
    inner: Vec<f32>,
}

fn sublayer<'a>(layer: &Layer<'a>, residual: Option<&'a [f32]>) -> Sublayer<'a> {
    if !layer.shape.ffn.is_present() {
        return Sublayer { bias: None, dropout: None, gate: 0.0, residual };
    }
    Sublayer {
        bias: Some(layer.params.at(&layer.slots.down_bias)),
        dropout: layer.dropout.and_then(|p| p.hidden(Purpose::FfnOutputDropout, layer.number)),
        gate: layer.gates.map_or(1.0, |g| g.ffns[layer.number]),
        residual,
    }
}

impl Saved {
    /// The block's output (rows, H) once more.
    pub fn output(&self, layer: &Layer, y: &mut [f32]) {
        layer_norm::output(
            &self.x_hat[..y.len()],
            &layer.norm(&layer.slots.ffn_gamma, &layer.slots.ffn_beta),
            y,
        );
    }
}

/// x (rows, H) → y (rows, H)
pub(super) fn forward(
    layer: &Layer,
    pass: &Pass,
    x: &[f32],
    saved: &mut Saved,
    scratch: &mut Scratch,
    y: &mut [f32],
) {
    let (r, h, f) = (layer.rows(), layer.hidden, layer.inner);
    let (params, slots) = (layer.params, layer.slots);
    let product = fit(&mut saved.x_hat, r * h);
    if f > 0 {
        let a = fit(&mut scratch.inner, r * f);
        // (rows, H) · (H, F), (rows, F) · (F, H)
        let (weight, bias) = (params.at(&slots.up_weight), params.at(&slots.up_bias));
        if pass.keep {
            let inner = fit(&mut saved.h, r * f);
            gelu::linear_forward(layer.format, x, weight, (r, h, f), bias, inner, Some(a));
        } else {
            gelu::linear_forward(layer.format, x, weight, (r, h, f), bias, a, None);
        }
        linear::forward(layer.format, a, params.at(&slots.down_weight), (r, f, h), None, product);
    } else {
        product.fill(0.0);
    }
    let inverse = fit(&mut saved.inverse, r);
    let output = (pass.gate_gradients && layer.shape.ffn.is_present()).then(|| fit(&mut saved.output, r * h));
    layer_norm::forward(
        product,
        &sublayer(layer, Some(x)),
        &layer.norm(&layer.slots.ffn_gamma, &layer.slots.ffn_beta),
        y,
        inverse,
        output,
    );
}

/// dy (rows, H), the gradient of the block's output, becomes that of its input in place. The input x (rows, H) is read
/// where gradients of weights are wanted.
pub(super) fn backward(
    layer: &Layer,
    x: &[f32],
    saved: &mut Saved,
    scratch: &mut Scratch,
    dy: &mut [f32],
    wanted: &mut Wanted,
) {
    let (r, h, f) = (layer.rows(), layer.hidden, layer.inner);
    let (params, slots) = (layer.params, layer.slots);
    let d_product = fit(&mut scratch.d_product, r * h);
    let sums = match wanted {
        Wanted::Weights(gradient) => {
            let [gamma, beta] = disjoint(gradient, [&slots.ffn_gamma, &slots.ffn_beta]);
            Some(Gradients { gamma, beta })
        }
        Wanted::Gates(_) => None,
    };
    let end = sublayer(layer, None);
    let gamma = params.at(&slots.ffn_gamma);
    layer_norm::backward(dy, &saved.x_hat[..r * h], &saved.inverse[..r], gamma, &end, d_product, sums);
    if !layer.shape.ffn.is_present() {
        return;
    }
    if let Wanted::Gates(out) = wanted {
        // ∂L/∂gate = ⟨FFN output, ∂L/∂z⟩, z being what the LayerNorm takes in.
        let gradients = &mut out.layers[layer.number].ffn;
        gradients.clear();
        gradients.extend(saved.output[..r * h].chunks(h).zip(dy.chunks(h)).map(|(o, d)| inner_product(o, d)));
        if end.gate == 0.0 {
            return;
        }
    }
    if f == 0 {
        if let Wanted::Weights(gradient) = wanted {
            // Without neurons the output's bias is left.
            let d_bias = &mut gradient[slots.down_bias.clone()];
            linear::backward_weight(layer.format, d_product, &[], (r, 0, h), &mut [], d_bias);
        }
        return;
    }
    let (a, d_inner) = (&mut saved.h[..r * f], fit(&mut scratch.inner, r * f));
    gelu::linear_backward(layer.format, d_product, params.at(&slots.down_weight), (r, f, h), a, d_inner);
    if let Wanted::Weights(gradient) = wanted {
        let [d_down, d_down_bias, d_up, d_up_bias] =
            disjoint(gradient, [&slots.down_weight, &slots.down_bias, &slots.up_weight, &slots.up_bias]);
        linear::backward_weight(layer.format, d_product, a, (r, f, h), d_down, d_down_bias);
        linear::backward_weight(layer.format, d_inner, x, (r, h, f), d_up, d_up_bias);
    }
    linear::backward_input(layer.format, d_inner, params.at(&slots.up_weight), (r, h, f), dy, Write::Add);
}
