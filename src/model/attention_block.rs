//! Self-attention, its output projection, dropout, residual and LayerNorm.
//!
//! In the last layer only the rows that the model's head reads matter (each sequence's first token, or the masked
//! tokens), so that layer computes queries, context and everything after them for those rows alone; keys and values
//! still cover every token.

use super::{
    encoder::{Layer, Wanted},
    gates,
    params::disjoint,
};
use crate::ops::{
    attention::{self, Rows, RowsMut, Shape},
    fit,
    layer_norm::{self, Gradients, Sublayer},
    linear,
    product::Write,
    rng::Purpose,
};

/// What the backward pass needs.
#[derive(Default)]
pub(super) struct Saved {
    /// Rows of the input that are queries, when they are not all of them: (rows, H).
    x_chosen: Vec<f32>,
    /// (T, 3A); or, for chosen rows only, queries (rows, A) followed by keys and values (T, 2A).
    qkv: Vec<f32>,
    statistics: Vec<f32>,
    context: Vec<f32>,
    /// (rows, H) before the LayerNorm's scale and shift
    x_hat: Vec<f32>,
    inverse: Vec<f32>,
}

/// Buffers that only live within one block.
#[derive(Default)]
pub(super) struct Scratch {
    d_product: Vec<f32>,
    d_context: Vec<f32>,
    d_qkv: Vec<f32>,
    d_chosen: Vec<f32>,
    gated: Vec<f32>,
}

/// Copies the chosen rows: (T, H) → (rows, H).
fn gather(x: &[f32], rows: &[usize], h: usize, out: &mut [f32]) {
    for (out, at) in out.chunks_mut(h).zip(rows) {
        out.copy_from_slice(&x[at * h..(at + 1) * h]);
    }
}

/// Queries, keys and values inside the saved buffer.
fn split_qkv<'a>(layer: &Layer, qkv: &'a [f32]) -> [Rows<'a>; 3] {
    let a = layer.width();
    if layer.chosen.is_some() {
        let (q, kv) = qkv.split_at(layer.rows() * a);
        [
            Rows { data: q, stride: a },
            Rows { data: kv, stride: 2 * a },
            Rows { data: &kv[a..], stride: 2 * a },
        ]
    } else {
        [0, a, 2 * a].map(|from| Rows { data: &qkv[from..], stride: 3 * a })
    }
}

fn attention_shape<'a>(layer: &Layer<'a>) -> Shape<'a> {
    Shape {
        heads: &layer.shape.heads,
        head_size: layer.head_size,
        queries: layer.query_offsets,
        keys: layer.offsets,
    }
}

fn sublayer<'a>(layer: &Layer<'a>, residual: Option<&'a [f32]>) -> Sublayer<'a> {
    Sublayer {
        bias: Some(layer.params.at(&layer.slots.output_bias)),
        dropout: layer.dropout.and_then(|p| p.hidden(Purpose::AttentionOutputDropout, layer.number)),
        gate: 1.0,
        residual,
    }
}

/// The context (rows, A) behind the heads' gates, in `buffer` when there are gates.
fn gated<'a>(layer: &Layer, context: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
    let Some(gates) = layer.gates else { return context };
    let gated = fit(buffer, context.len());
    gated.copy_from_slice(context);
    gates::scale_heads(gated, &gates.heads[layer.head_range()], layer.head_size);
    gated
}

impl Saved {
    /// The block's output (rows, H) once more.
    pub fn output(&self, layer: &Layer, y: &mut [f32]) {
        layer_norm::output(
            &self.x_hat[..y.len()],
            &layer.norm(&layer.slots.attention_gamma, &layer.slots.attention_beta),
            y,
        );
    }
}

/// x (T, H) → y (rows, H)
pub(super) fn forward(layer: &Layer, x: &[f32], saved: &mut Saved, scratch: &mut Scratch, y: &mut [f32]) {
    let (t, r, h, a) = (layer.tokens(), layer.rows(), layer.hidden, layer.width());
    let (params, slots) = (layer.params, layer.slots);
    let residual: &[f32] = match layer.chosen {
        Some(rows) => {
            gather(x, rows, h, fit(&mut saved.x_chosen, r * h));
            &saved.x_chosen[..r * h]
        }
        None => x,
    };
    let product = fit(&mut saved.x_hat, r * h);
    if a == 0 {
        product.fill(0.0);
    } else {
        let (weight, bias) = (params.at(&slots.qkv_weight), params.at(&slots.qkv_bias));
        if layer.chosen.is_some() {
            let (q, kv) = fit(&mut saved.qkv, r * a + t * 2 * a).split_at_mut(r * a);
            // (rows, H) · (H, A) and (T, H) · (H, 2A)
            linear::forward(layer.format, residual, &weight[..a * h], (r, h, a), Some(&bias[..a]), q);
            linear::forward(layer.format, x, &weight[a * h..], (t, h, 2 * a), Some(&bias[a..]), kv);
        } else {
            // (T, H) · (H, 3A)
            let qkv = fit(&mut saved.qkv, t * 3 * a);
            linear::forward(layer.format, x, weight, (t, h, 3 * a), Some(bias), qkv);
        }
        let shape = attention_shape(layer);
        let [q, k, v] = split_qkv(layer, &saved.qkv);
        let statistics = fit(&mut saved.statistics, shape.statistics());
        let context = fit(&mut saved.context, r * a);
        let dropout = layer.dropout.map(|plan| (plan, layer.number));
        attention::forward(
            layer.format,
            q,
            k,
            v,
            &shape,
            dropout,
            statistics,
            RowsMut { data: context, stride: a },
        );
        let context = gated(layer, context, &mut scratch.gated);
        // (rows, A) · (A, H)
        linear::forward(layer.format, context, params.at(&slots.output_weight), (r, a, h), None, product);
    }
    let inverse = fit(&mut saved.inverse, r);
    layer_norm::forward(
        product,
        &sublayer(layer, Some(residual)),
        &layer.norm(&layer.slots.attention_gamma, &layer.slots.attention_beta),
        y,
        inverse,
        None,
    );
}

/// dy (rows, H), the gradient of the block's output, becomes dx (T, H), that of its input, in the same buffer.
/// The input x (T, H) is read where gradients of weights are wanted.
/// In the first layer of a pass that wants gates nothing below is needed and `dy` is left unfinished.
pub(super) fn backward(
    layer: &Layer,
    x: &[f32],
    saved: &Saved,
    scratch: &mut Scratch,
    dy: &mut Vec<f32>,
    wanted: &mut Wanted,
) {
    let (t, r, h, a) = (layer.tokens(), layer.rows(), layer.hidden, layer.width());
    let (params, slots) = (layer.params, layer.slots);
    let dz = fit(dy, r * h);
    let d_product = fit(&mut scratch.d_product, r * h);
    let sums = match wanted {
        Wanted::Weights(gradient) => {
            let [gamma, beta] = disjoint(gradient, [&slots.attention_gamma, &slots.attention_beta]);
            Some(Gradients { gamma, beta })
        }
        Wanted::Gates(_) => None,
    };
    let gamma = params.at(&slots.attention_gamma);
    let end = sublayer(layer, None);
    layer_norm::backward(dz, &saved.x_hat[..r * h], &saved.inverse[..r], gamma, &end, d_product, sums);
    // Of chosen rows, dz (rows, H) has to move to its places in (T, H); without heads that is all there is.
    if layer.chosen.is_some() {
        fit(&mut scratch.d_chosen, r * h).copy_from_slice(dz);
    }
    if a > 0 {
        let output_weight = params.at(&slots.output_weight);
        let context = &saved.context[..r * a];
        let d_context = fit(&mut scratch.d_context, r * a);
        linear::backward_input(layer.format, d_product, output_weight, (r, a, h), d_context, Write::Replace);
        match wanted {
            Wanted::Weights(gradient) => {
                let context = gated(layer, context, &mut scratch.gated);
                let [d_weight, d_bias] = disjoint(gradient, [&slots.output_weight, &slots.output_bias]);
                linear::backward_weight(layer.format, d_product, context, (r, a, h), d_weight, d_bias);
            }
            Wanted::Gates(out) => {
                gates::products(context, d_context, layer.head_size, &mut out.layers[layer.number].heads);
                if layer.number == 0 {
                    return;
                }
            }
        }
        if let Some(g) = layer.gates {
            gates::scale_heads(d_context, &g.heads[layer.head_range()], layer.head_size);
        }
        let shape = attention_shape(layer);
        let [q, k, v] = split_qkv(layer, &saved.qkv);
        let attended = attention::Saved { q, k, v, statistics: &saved.statistics[..shape.statistics()] };
        let (q_width, kv_start) = if layer.chosen.is_some() { (a, r * a) } else { (3 * a, a) };
        let d_qkv =
            fit(&mut scratch.d_qkv, if layer.chosen.is_some() { r * a + t * 2 * a } else { t * 3 * a });
        let dropout = layer.dropout.map(|plan| (plan, layer.number));
        let kv_width = if layer.chosen.is_some() { 2 * a } else { 3 * a };
        attention::backward(
            layer.format,
            Rows { data: d_context, stride: a },
            &attended,
            &shape,
            dropout,
            attention::QkvMut {
                data: d_qkv,
                q: (0, q_width),
                k: (kv_start, kv_width),
                v: (kv_start + a, kv_width),
            },
        );
        let weight = params.at(&slots.qkv_weight);
        if let Wanted::Weights(gradient) = wanted {
            let [d_weight, d_bias] = disjoint(gradient, [&slots.qkv_weight, &slots.qkv_bias]);
            if layer.chosen.is_some() {
                let (d_q, d_kv) = d_qkv.split_at(r * a);
                let (weight_q, weight_kv) = d_weight.split_at_mut(a * h);
                let (bias_q, bias_kv) = d_bias.split_at_mut(a);
                linear::backward_weight(
                    layer.format,
                    d_q,
                    &saved.x_chosen[..r * h],
                    (r, h, a),
                    weight_q,
                    bias_q,
                );
                linear::backward_weight(layer.format, d_kv, x, (t, h, 2 * a), weight_kv, bias_kv);
            } else {
                linear::backward_weight(layer.format, d_qkv, x, (t, h, 3 * a), d_weight, d_bias);
            }
        }
        if layer.chosen.is_some() {
            let (d_q, d_kv) = d_qkv.split_at(r * a);
            let d_chosen = &mut scratch.d_chosen[..r * h];
            linear::backward_input(layer.format, d_q, &weight[..a * h], (r, h, a), d_chosen, Write::Add);
            linear::backward_input(
                layer.format,
                d_kv,
                &weight[a * h..],
                (t, h, 2 * a),
                fit(dy, t * h),
                Write::Replace,
            );
        } else {
            linear::backward_input(layer.format, d_qkv, weight, (t, h, 3 * a), dz, Write::Add);
        }
    } else {
        if let Wanted::Weights(gradient) = wanted {
            // Without heads the output's bias is left.
            let d_bias = &mut gradient[slots.output_bias.clone()];
            linear::backward_weight(layer.format, d_product, &[], (r, 0, h), &mut [], d_bias);
        }
        if layer.chosen.is_some() {
            fit(dy, t * h).fill(0.0);
        }
    }
    if let Some(rows) = layer.chosen {
        let dx = fit(dy, t * h);
        for (d, at) in scratch.d_chosen[..r * h].chunks(h).zip(rows) {
            dx[at * h..(at + 1) * h].iter_mut().zip(d).for_each(|(x, d)| *x += d);
        }
    }
}
