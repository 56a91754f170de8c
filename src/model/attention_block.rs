//! Self-attention, its output projection, dropout, residual and LayerNorm.
//!
//! In the last layer only the rows that the model's head reads matter (each sequence's first token, or the masked
//! tokens), so that layer computes queries, context and everything after them for those rows alone; keys and values
//! still cover every token.

use super::{
    backend::{Attended, Backend, Bias, Done, Norm, Normed, Qkv, Slot, Sublayer, Unit},
    pass::{Layer, Wanted},
};
use crate::ops::{product::Write, rng::Purpose};

/// What the backward pass needs.
#[derive(Default)]
pub(crate) struct Saved<B> {
    /// In the last layer, the rows of the input that are queries: (rows, H).
    x_chosen: B,
    pub attended: Attended<B>,
    pub normed: Normed<B>,
}

/// Buffers that only live within one block.
#[derive(Default)]
pub(crate) struct Scratch<B> {
    d_product: B,
    d_context: B,
    d_qkv: Qkv<B>,
    d_chosen: B,
    gated: B,
    row_sums: B,
}

pub(super) fn norm<'a>(layer: &Layer<'a>) -> Norm<'a> {
    Norm { gamma: &layer.slots.attention_gamma, beta: &layer.slots.attention_beta }
}

fn sublayer<'a, B>(layer: &Layer<'a>, residual: Option<&'a B>) -> Sublayer<'a, B> {
    let dropout = layer.pass.dropout.filter(|_| layer.drops_attention_output);
    let dropout = dropout.and_then(|p| p.hidden(Purpose::AttentionOutputDropout, layer.number));
    Sublayer { bias: Some(&layer.slots.output_bias), dropout, gate: 1.0, residual }
}

/// The context (rows, A) behind the heads' gates, in `buffer` when there are gates.
fn gated<'a, O: Backend>(
    ops: &O,
    layer: &Layer,
    context: &'a O::Buffer,
    buffer: &'a mut O::Buffer,
) -> Result<&'a O::Buffer, O::Error> {
    if layer.pass.gates.is_none() {
        return Ok(context);
    }
    ops.copy(context, buffer, layer.rows * layer.width())?;
    ops.scale_heads(layer, buffer)?;
    Ok(buffer)
}

/// The first so many elements of a slot, and the rest.
fn split(slot: &Slot, first: usize) -> [Slot; 2] {
    let middle = slot.start + first;
    [slot.start..middle, middle..slot.end]
}

/// x (T, H) → y (rows, H)
pub(super) fn forward<O: Backend>(
    ops: &O,
    layer: &Layer,
    x: &O::Buffer,
    saved: &mut Saved<O::Buffer>,
    scratch: &mut Scratch<O::Buffer>,
    y: &mut O::Buffer,
) -> Done<O> {
    let (t, r, h, a, slots) = (layer.tokens, layer.rows, layer.hidden, layer.width(), layer.slots);
    let Saved { x_chosen, attended, normed } = saved;
    if layer.is_last {
        ops.gather(x, h, x_chosen)?;
    }
    let residual = if layer.is_last { &*x_chosen } else { x };
    if a == 0 {
        ops.clear(&mut normed.x_hat, r * h)?;
    } else {
        let Qkv { q, kv } = &mut attended.qkv;
        if layer.is_last {
            let ([q_weight, kv_weight], [q_bias, kv_bias]) =
                (split(&slots.qkv_weight, a * h), split(&slots.qkv_bias, a));
            // (rows, H) · (H, A) and (T, H) · (H, 2A)
            ops.linear(residual, &q_weight, Some(&q_bias), (r, h, a), q)?;
            ops.linear(x, &kv_weight, Some(&kv_bias), (t, h, 2 * a), kv)?;
        } else {
            // (T, H) · (H, 3A)
            ops.linear(x, &slots.qkv_weight, Some(&slots.qkv_bias), (t, h, 3 * a), q)?;
        }
        ops.attention(layer, attended)?;
        let context = gated(ops, layer, &attended.context, &mut scratch.gated)?;
        // (rows, A) · (A, H)
        ops.linear(context, &slots.output_weight, None, (r, a, h), &mut normed.x_hat)?;
    }
    ops.norm(r, normed, &sublayer(layer, Some(residual)), norm(layer), y, None)
}

/// ‖context‖² of every head at every row.
pub(super) fn squared_norms<O: Backend>(
    ops: &O,
    layer: &Layer,
    saved: &Saved<O::Buffer>,
    out: &mut O::GateGradients,
) -> Done<O> {
    let context = &saved.attended.context;
    if layer.heads() == 0 { Ok(()) } else { ops.gate_products(layer, Unit::Heads, context, context, out) }
}

/// dy (rows, H), the gradient of the block's output, becomes dx (T, H), that of its input, in the same buffer, which has
/// room for it. The input x (T, H) is read where gradients of weights are wanted.
/// In the first layer of a pass that wants gates nothing below is needed and `dy` is left unfinished.
pub(super) fn backward<O: Backend>(
    ops: &O,
    layer: &Layer,
    x: &O::Buffer,
    saved: &Saved<O::Buffer>,
    scratch: &mut Scratch<O::Buffer>,
    dy: &mut O::Buffer,
    wanted: &mut Wanted<O::Gradient, O::GateGradients>,
) -> Done<O> {
    let (t, r, h, a, slots) = (layer.tokens, layer.rows, layer.hidden, layer.width(), layer.slots);
    let Saved { x_chosen, attended, normed } = saved;
    let Scratch { d_product, d_context, d_qkv, d_chosen, gated: buffer, row_sums } = scratch;
    let output_bias = Bias::Fused(&slots.output_bias);
    ops.norm_backward(r, dy, normed, &sublayer(layer, None), norm(layer), d_product, wanted.weights())?;
    // In the last layer dy (rows, H) has to move to its places in (T, H); without heads that is all there is.
    if layer.is_last {
        ops.copy(dy, d_chosen, r * h)?;
    }
    if a > 0 {
        ops.linear_backward_input(d_product, &slots.output_weight, (r, a, h), d_context, Write::Replace)?;
        match wanted {
            Wanted::Weights(gradient) => {
                let (weight, context) = (&slots.output_weight, gated(ops, layer, &attended.context, buffer)?);
                ops.linear_backward_weight(d_product, context, (r, a, h), weight, output_bias, gradient)?;
            }
            Wanted::Gates(out) => {
                ops.gate_products(layer, Unit::Heads, &attended.context, d_context, out)?;
                if layer.number == 0 {
                    return Ok(());
                }
            }
        }
        if layer.pass.gates.is_some() {
            ops.scale_heads(layer, d_context)?;
        }
        ops.attention_backward(layer, d_context, attended, row_sums, d_qkv)?;
        let Qkv { q: d_q, kv: d_kv } = d_qkv;
        if layer.is_last {
            let ([q_weight, kv_weight], [q_bias, kv_bias]) =
                (split(&slots.qkv_weight, a * h), split(&slots.qkv_bias, a));
            if let Some(gradient) = wanted.weights() {
                let bias = Bias::Own(&q_bias);
                ops.linear_backward_weight(d_q, x_chosen, (r, h, a), &q_weight, bias, gradient)?;
                let bias = Bias::Own(&kv_bias);
                ops.linear_backward_weight(d_kv, x, (t, h, 2 * a), &kv_weight, bias, gradient)?;
            }
            ops.linear_backward_input(d_q, &q_weight, (r, h, a), d_chosen, Write::Add)?;
            ops.linear_backward_input(d_kv, &kv_weight, (t, h, 2 * a), dy, Write::Replace)?;
        } else {
            let (weight, sizes) = (&slots.qkv_weight, (t, h, 3 * a));
            if let Some(gradient) = wanted.weights() {
                ops.linear_backward_weight(d_q, x, sizes, weight, Bias::Own(&slots.qkv_bias), gradient)?;
            }
            ops.linear_backward_input(d_q, weight, sizes, dy, Write::Add)?;
        }
    } else {
        if let Some(gradient) = wanted.weights() {
            // Without heads the output's bias is left.
            let (context, weight) = (&attended.context, &slots.output_weight);
            ops.linear_backward_weight(d_product, context, (r, 0, h), weight, output_bias, gradient)?;
        }
        if layer.is_last {
            ops.clear(dy, t * h)?;
        }
    }
    if layer.is_last { ops.scatter_add(d_chosen, h, dy) } else { Ok(()) }
}
