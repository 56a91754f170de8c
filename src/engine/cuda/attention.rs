//! Attention's rows, shape and mask as the kernels take them.

use super::{
    batch::Part,
    device::{Activations, Cuda, address},
};
use crate::{
    error::Result,
    model::{
        backend::{Attended, Qkv},
        pass::Layer,
    },
    ops::{
        cuda::attention::{self, Rows},
        dropout::DropoutPlan,
    },
};

fn attention_shape(ops: &Cuda, layer: &Layer) -> attention::Shape {
    let batch = ops.batch;
    attention::Shape {
        sequences: batch.sequences,
        heads: layer.heads(),
        head_size: layer.head_size,
        queries: batch.at(if layer.is_last { Part::ChosenOffsets } else { Part::Offsets }),
        keys: batch.at(Part::Offsets),
        numbers: ops.weights.numbers(layer.number),
        longest_query: if layer.is_last { batch.longest_chosen } else { batch.longest },
        longest_key: batch.longest,
        rows: layer.rows,
    }
}

/// Dropout's mask on the probabilities, whose bits are in this buffer.
fn attention_mask<'l>(
    ops: &Cuda,
    layer: &Layer<'l>,
    shape: &attention::Shape,
    bits: &Activations,
) -> Result<Option<attention::Mask<'l>>> {
    let site = |plan: &&DropoutPlan| plan.attention(layer.number, 0, 0).is_some();
    let Some(plan) = layer.pass.dropout.filter(site) else { return Ok(None) };
    let bits = ops.buffer(bits).fit(attention::words_of_bits(ops.format(), shape) * 4)?;
    Ok(Some(attention::Mask { plan, layer: layer.number, bits }))
}

/// Queries, keys and values, or their gradients, in their buffers.
fn split(ops: &Cuda, layer: &Layer, qkv: &Qkv<Activations>) -> [Rows; 3] {
    let (a, bytes) = (layer.width(), ops.format().bytes());
    let at =
        |buffer, column: usize, stride| Rows { address: address(buffer) + (column * bytes) as u64, stride };
    if layer.is_last {
        [at(&qkv.q, 0, a), at(&qkv.kv, 0, 2 * a), at(&qkv.kv, a, 2 * a)]
    } else {
        [0, a, 2 * a].map(|column| at(&qkv.q, column, 3 * a))
    }
}

pub(super) fn forward(ops: &Cuda, layer: &Layer, attended: &mut Attended<Activations>) -> Result<()> {
    let Attended { qkv, statistics, kept, context } = attended;
    let (shape, [q, k, v]) = (attention_shape(ops, layer), split(ops, layer, qkv));
    let log_sums = ops.floats(statistics, layer.rows * layer.heads())?;
    let to = Rows { address: ops.fit(context, layer.rows * layer.width())?, stride: layer.width() };
    let mask = attention_mask(ops, layer, &shape, kept)?;
    attention::forward(ops.gpu(), ops.format(), q, k, v, &shape, mask, log_sums, to)
}

pub(super) fn backward(
    ops: &Cuda,
    layer: &Layer,
    d_context: &Activations,
    attended: &Attended<Activations>,
    row_sums: &mut Activations,
    d_qkv: &mut Qkv<Activations>,
) -> Result<()> {
    let (t, r, a) = (layer.tokens, layer.rows, layer.width());
    if layer.is_last {
        ops.fit(&d_qkv.q, r * a)?;
        ops.fit(&d_qkv.kv, t * 2 * a)?;
    } else {
        ops.fit(&d_qkv.q, t * 3 * a)?;
    }
    let ([q, k, v], [dq, dk, dv]) = (split(ops, layer, &attended.qkv), split(ops, layer, d_qkv));
    let rows = |buffer| Rows { address: address(buffer), stride: a };
    let (context, log_sums) = (rows(&attended.context), address(&attended.statistics));
    let saved = attention::Saved { q, k, v, context, log_sums };
    let (shape, row_sums) = (attention_shape(ops, layer), ops.floats(row_sums, r * layer.heads())?);
    let mask = attention_mask(ops, layer, &shape, &attended.kept)?;
    let (gpu, format, d_context) = (ops.gpu(), ops.format(), rows(d_context));
    attention::backward(gpu, format, d_context, &saved, &shape, mask, row_sums, dq, dk, dv)
}
