//! Self-attention, its output projection, dropout, residual and LayerNorm; see [`crate::model`]'s block of that name.

use super::{
    batch::Part,
    pass::{Layer, Wanted},
};
use crate::{
    error::Result,
    ops::{
        cuda::{
            Buffer, Format, Gpu,
            attention::{self, Rows},
            gates,
            layer_norm::{self, Gradients, Sublayer},
            linear, rows,
        },
        rng::Purpose,
    },
};
use std::rc::Rc;

/// What the backward pass needs.
pub(super) struct Saved {
    /// Rows of the input that are queries, when they are not all of them: (rows, H).
    x_chosen: Buffer,
    /// (T, 3A); for chosen rows only, queries (rows, A).
    qkv: Buffer,
    /// Keys and values (T, 2A), for chosen rows only.
    kv: Buffer,
    log_sums: Buffer,
    /// Which probabilities dropout keeps, a bit each.
    bits: Buffer,
    context: Buffer,
    x_hat: Buffer,
    inverse: Buffer,
    /// (rows, H)
    pub y: Buffer,
}

/// Buffers that only live within one block.
pub(super) struct Scratch {
    d_product: Buffer,
    d_context: Buffer,
    d_qkv: Buffer,
    d_kv: Buffer,
    d_chosen: Buffer,
    gated: Buffer,
    row_sums: Buffer,
}

impl Saved {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [x_chosen, qkv, kv, log_sums, bits, context, x_hat, inverse, y] =
            [(); 9].map(|()| Buffer::new(gpu));
        Self { x_chosen, qkv, kv, log_sums, bits, context, x_hat, inverse, y }
    }
}

impl Scratch {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        let [d_product, d_context, d_qkv, d_kv, d_chosen, gated, row_sums] =
            [(); 7].map(|()| Buffer::new(gpu));
        Self { d_product, d_context, d_qkv, d_kv, d_chosen, gated, row_sums }
    }
}

/// Queries, keys and values, or their gradients, in the two buffers.
fn split_qkv(layer: &Layer, qkv: &Buffer, kv: &Buffer) -> [Rows; 3] {
    let (a, bytes) = (layer.width(), layer.pass.format().bytes());
    let at = |base: u64, column: usize, stride| Rows { address: base + (column * bytes) as u64, stride };
    if layer.last {
        [at(qkv.address(), 0, a), at(kv.address(), 0, 2 * a), at(kv.address(), a, 2 * a)]
    } else {
        [0, a, 2 * a].map(|column| at(qkv.address(), column, 3 * a))
    }
}

/// Room for queries, keys and values.
fn fit_qkv(layer: &Layer, qkv: &Buffer, kv: &Buffer) -> Result<()> {
    let (t, r, a, format) = (layer.pass.batch.tokens, layer.rows(), layer.width(), layer.pass.format());
    if layer.last {
        qkv.activations(r * a, format)?;
        kv.activations(t * 2 * a, format)?;
    } else {
        qkv.activations(t * 3 * a, format)?;
    }
    Ok(())
}

fn sublayer(layer: &Layer, residual: Option<u64>) -> Sublayer {
    Sublayer {
        bias: Some(layer.pass.weights.f32(&layer.slots.output_bias)),
        dropout: layer.pass.dropout.and_then(|p| p.hidden(Purpose::AttentionOutputDropout, layer.number)),
        gate: 1.0,
        residual,
    }
}

/// The context (rows, A) behind the heads' gates, in `buffer` when there are gates.
fn gated(layer: &Layer, context: u64, buffer: &Buffer) -> Result<u64> {
    let Some(gates) = layer.head_gates() else { return Ok(context) };
    let (gpu, format, len) = (layer.pass.gpu, layer.pass.format(), layer.rows() * layer.width());
    let to = buffer.activations(len, format)?;
    gpu.copy(context, to, len * format.bytes())?;
    gates::scale_heads(gpu, format, to, gates, layer.rows(), layer.heads(), layer.head_size())?;
    Ok(to)
}

/// Where the second of two slices of a weight (A, H) | (2A, H), or of a bias, begins.
fn after(first: u64, len: usize, format: Format) -> u64 {
    first + (len * format.bytes()) as u64
}

/// x (T, H) → y (rows, H), in `saved`.
pub(super) fn forward(layer: &Layer, x: u64, saved: &Saved, scratch: &Scratch) -> Result<()> {
    let (gpu, weights, slots, format) =
        (layer.pass.gpu, layer.pass.weights, layer.slots, layer.pass.format());
    let (t, r, h, a) = (layer.pass.batch.tokens, layer.rows(), layer.pass.hidden(), layer.width());
    let residual = if layer.last {
        let to = saved.x_chosen.activations(r * h, format)?;
        rows::gather(gpu, format, x, layer.pass.batch.at(Part::Chosen), r, h, to)?;
        to
    } else {
        x
    };
    let product = saved.x_hat.activations(r * h, format)?;
    if a == 0 {
        gpu.clear(product, r * h * format.bytes())?;
    } else {
        let (weight, bias) = (weights.operand(&slots.qkv_weight), weights.operand(&slots.qkv_bias));
        fit_qkv(layer, &saved.qkv, &saved.kv)?;
        if layer.last {
            let (kv_weight, kv_bias) = (after(weight, a * h, format), after(bias, a, format));
            // (rows, H) · (H, A) and (T, H) · (H, 2A)
            linear::forward(
                gpu,
                format,
                residual,
                weight,
                Some(bias),
                (r, h, a),
                saved.qkv.address(),
                format,
            )?;
            linear::forward(
                gpu,
                format,
                x,
                kv_weight,
                Some(kv_bias),
                (t, h, 2 * a),
                saved.kv.address(),
                format,
            )?;
        } else {
            // (T, H) · (H, 3A)
            linear::forward(gpu, format, x, weight, Some(bias), (t, h, 3 * a), saved.qkv.address(), format)?;
        }
        let [q, k, v] = split_qkv(layer, &saved.qkv, &saved.kv);
        let log_sums = saved.log_sums.floats(r * layer.heads())?;
        let context = saved.context.activations(r * a, format)?;
        let (shape, to) = (layer.attention_shape(), Rows { address: context, stride: a });
        let mask = layer.attention_mask(&shape, &saved.bits)?;
        attention::forward(gpu, format, q, k, v, &shape, mask, log_sums, to)?;
        let context = gated(layer, context, &scratch.gated)?;
        // (rows, A) · (A, H)
        let weight = weights.operand(&slots.output_weight);
        linear::forward(gpu, format, context, weight, None, (r, a, h), product, format)?;
    }
    let norm = layer.pass.norm(&slots.attention_gamma, &slots.attention_beta);
    let (y, inverse) = (saved.y.activations(r * h, format)?, saved.inverse.floats(r)?);
    layer_norm::forward(gpu, format, product, &sublayer(layer, Some(residual)), &norm, y, inverse, None, r, h)
}

/// dy (rows, H), the gradient of the block's output, becomes dx (T, H), that of its input, in the same memory, which has
/// room for it. In the first layer of a pass that wants gates nothing below is needed and `dy` is left unfinished.
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
    let (t, r, h, a) = (layer.pass.batch.tokens, layer.rows(), layer.pass.hidden(), layer.width());
    let bytes = format.bytes();
    let d_product = scratch.d_product.activations(r * h, format)?;
    let sums = match wanted {
        Wanted::Weights(gradient) => Some(Gradients {
            gamma: gradient.of(&slots.attention_gamma),
            beta: gradient.of(&slots.attention_beta),
            bias: Some(gradient.of(&slots.output_bias)),
            sums: gradient.sums,
        }),
        Wanted::Gates(_) => None,
    };
    let gamma = weights.f32(&slots.attention_gamma);
    layer_norm::backward(
        gpu,
        format,
        dy,
        saved.x_hat.address(),
        saved.inverse.address(),
        gamma,
        &sublayer(layer, None),
        Some(d_product),
        sums.as_ref(),
        r,
        h,
    )?;
    let d_chosen = scratch.d_chosen.activations(r * h, format)?;
    if layer.last {
        gpu.copy(dy, d_chosen, r * h * bytes)?;
    }
    if a > 0 {
        let context = saved.context.address();
        let d_context = scratch.d_context.activations(r * a, format)?;
        let output_weight = weights.operand(&slots.output_weight);
        linear::backward_input(gpu, format, d_product, output_weight, (r, a, h), d_context, false)?;
        match wanted {
            Wanted::Weights(gradient) => {
                let context = gated(layer, context, &scratch.gated)?;
                let d_weight = gradient.of(&slots.output_weight);
                linear::backward_weight(gpu, format, d_product, context, (r, a, h), d_weight, false)?;
            }
            Wanted::Gates(out) => {
                let to = out.heads(layer.number);
                gates::products(gpu, format, context, d_context, r, layer.heads(), layer.head_size(), to)?;
                if layer.number == 0 {
                    return Ok(());
                }
            }
        }
        if let Some(gates) = layer.head_gates() {
            gates::scale_heads(gpu, format, d_context, gates, r, layer.heads(), layer.head_size())?;
        }
        let [q, k, v] = split_qkv(layer, &saved.qkv, &saved.kv);
        fit_qkv(layer, &scratch.d_qkv, &scratch.d_kv)?;
        let [dq, dk, dv] = split_qkv(layer, &scratch.d_qkv, &scratch.d_kv);
        let attended = attention::Saved {
            q,
            k,
            v,
            context: Rows { address: context, stride: a },
            log_sums: saved.log_sums.address(),
        };
        let (shape, row_sums) = (layer.attention_shape(), scratch.row_sums.floats(r * layer.heads())?);
        let d_context = Rows { address: d_context, stride: a };
        let mask = layer.attention_mask(&shape, &saved.bits)?;
        attention::backward(gpu, format, d_context, &attended, &shape, mask, row_sums, dq, dk, dv)?;
        let weight = weights.operand(&slots.qkv_weight);
        let (d_qkv, d_kv) = (scratch.d_qkv.address(), scratch.d_kv.address());
        // Gradient, input, rows, width, and where the weight's and the bias's part begin.
        let all = [(d_qkv, x, t, 3 * a, 0)];
        let two = [(d_qkv, saved.x_chosen.address(), r, a, 0), (d_kv, x, t, 2 * a, a)];
        if let Wanted::Weights(gradient) = wanted {
            for (d, x, n, width, first) in if layer.last { &two[..] } else { &all[..] } {
                let d_weight = after(gradient.of(&slots.qkv_weight), first * h, Format::F32);
                let d_bias = after(gradient.of(&slots.qkv_bias), *first, Format::F32);
                linear::backward_weight(gpu, format, *d, *x, (*n, h, *width), d_weight, false)?;
                linear::backward_bias(gpu, format, *d, *n, *width, d_bias, gradient.sums, false)?;
            }
        }
        if layer.last {
            linear::backward_input(gpu, format, d_qkv, weight, (r, h, a), d_chosen, true)?;
            let kv_weight = after(weight, a * h, format);
            linear::backward_input(gpu, format, d_kv, kv_weight, (t, h, 2 * a), dy, false)?;
        } else {
            linear::backward_input(gpu, format, d_qkv, weight, (t, h, 3 * a), dy, true)?;
        }
    } else if layer.last {
        gpu.clear(dy, t * h * bytes)?;
    }
    if layer.last {
        rows::scatter_add(gpu, format, d_chosen, layer.pass.batch.at(Part::Chosen), r, h, dy)?;
    }
    Ok(())
}
