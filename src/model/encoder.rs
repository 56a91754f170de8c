//! The encoder: embeddings and layers, forward and backward. What a head reads is all that its last layer computes.

use super::{
    attention_block,
    backend::{Backend, Done, Normed, Qkv},
    embeddings, ffn_block,
    pass::{Run, Wanted},
};

/// The activations and scratch space of a pass; reused from batch to batch.
#[derive(Default)]
pub(crate) struct Saved<B> {
    /// What the blocks give: the embeddings (T, H), then of each layer its attention and its FFN. Where outputs are not
    /// kept two buffers serve in turn.
    outputs: Vec<B>,
    /// The place there of the last.
    last: usize,
    embeddings: Normed<B>,
    layers: Vec<LayerSaved<B>>,
    attention: attention_block::Scratch<B>,
    ffn: ffn_block::Scratch<B>,
    /// The gradient of what the head reads, (rows, H), then of the output of one block after another.
    dy: B,
}

#[derive(Default)]
struct LayerSaved<B> {
    attention: attention_block::Saved<B>,
    ffn: ffn_block::Saved<B>,
}

impl<B> Saved<B> {
    /// The encoder's output (rows, H), and where the head's backward pass leaves its gradient.
    pub fn output(&mut self) -> (&B, &mut B) {
        (&self.outputs[self.last], &mut self.dy)
    }

    /// Queries, keys and values of a layer, after a pass that keeps them.
    pub fn qkv(&self, layer: usize) -> &Qkv<B> {
        &self.layers[layer].attention.attended.qkv
    }
}

/// Which buffer has the output of a block, the embeddings being block 0.
fn place<O: Backend>(run: &Run, block: usize) -> usize {
    if O::KEEPS_OUTPUTS && run.pass.keep { block } else { block % 2 }
}

/// The output of the block before this one, and its own.
fn around<'b, O: Backend>(outputs: &'b mut [O::Buffer], run: &Run, block: usize) -> [&'b mut O::Buffer; 2] {
    let places = [block - 1, block].map(|block| place::<O>(run, block));
    outputs.get_disjoint_mut(places).expect("neighbours are different buffers")
}

/// Computes the output at the rows that the head reads. Gates need all units present.
pub(super) fn forward<O: Backend>(ops: &O, run: &Run, saved: &mut Saved<O::Buffer>) -> Done<O> {
    let full = || run.config.full_shape() == run.shape;
    assert!(run.pass.gates.is_none() || full(), "gates are for unpruned models");
    let Saved { outputs, last, embeddings, layers, attention, ffn, .. } = saved;
    let count = run.shape.len();
    *last = place::<O>(run, 2 * count);
    let most = outputs.len().max(place::<O>(run, 2 * count - 1).max(*last) + 1);
    outputs.resize_with(most, O::Buffer::default);
    layers.resize_with(count, LayerSaved::default);
    embeddings::forward(ops, run, embeddings, &mut outputs[0])?;
    for l in 0..count {
        let layer = run.layer(l);
        // Without a backward pass one layer's buffers serve all.
        let saved = &mut layers[if run.pass.keep { l } else { 0 }];
        let [x, y] = around::<O>(outputs, run, 2 * l + 1);
        attention_block::forward(ops, &layer, x, &mut saved.attention, attention, y)?;
        let [x, y] = around::<O>(outputs, run, 2 * l + 2);
        ffn_block::forward(ops, &layer, x, &mut saved.ffn, ffn, y)?;
    }
    Ok(())
}

/// ‖y‖² of what every unit gives, at every row.
pub(super) fn squared_norms<O: Backend>(
    ops: &O,
    run: &Run,
    saved: &Saved<O::Buffer>,
    out: &mut O::GateGradients,
) -> Done<O> {
    for (l, saved) in saved.layers.iter().enumerate().take(run.shape.len()) {
        let layer = run.layer(l);
        attention_block::squared_norms(ops, &layer, &saved.attention, out)?;
        ffn_block::squared_norms(ops, &layer, &saved.ffn, out)?;
    }
    Ok(())
}

/// Room for the gradient of the encoder's input, in the buffer where all others come before it.
pub(super) fn reserve<O: Backend>(ops: &O, run: &Run, saved: &mut Saved<O::Buffer>) -> Done<O> {
    ops.reserve(&mut saved.dy, run.tokens.max(run.read) * run.config.hidden_size)
}

/// From the gradient of the output, which the head left, to all that is wanted; once after a `forward` of the same input
/// and pass with `keep`.
pub(super) fn backward<O: Backend>(
    ops: &O,
    run: &Run,
    saved: &mut Saved<O::Buffer>,
    mut wanted: Wanted<O::Gradient, O::GateGradients>,
) -> Done<O> {
    let Saved { outputs, embeddings, layers, attention, ffn, dy, .. } = saved;
    for l in (0..run.shape.len()).rev() {
        let layer = run.layer(l);
        let [x, y] = around::<O>(outputs, run, 2 * l + 1);
        // The blocks' inputs, which gradients of weights need.
        if !O::KEEPS_OUTPUTS && wanted.weights().is_some() {
            let of_attention = &layers[l].attention.normed;
            ops.norm_again(layer.rows, of_attention, attention_block::norm(&layer), y)?;
            match l.checked_sub(1) {
                Some(below) => {
                    let of_ffn = &layers[below].ffn.normed;
                    ops.norm_again(run.tokens, of_ffn, ffn_block::norm(&run.layer(below)), x)?;
                }
                None => embeddings::again(ops, run, embeddings, x)?,
            }
        }
        let saved = &mut layers[l];
        ffn_block::backward(ops, &layer, y, &mut saved.ffn, ffn, dy, &mut wanted)?;
        attention_block::backward(ops, &layer, x, &saved.attention, attention, dy, &mut wanted)?;
    }
    match wanted {
        // The first attention's output is read no more.
        Wanted::Weights(gradient) => {
            embeddings::backward(ops, run, embeddings, dy, &mut outputs[1], gradient)
        }
        Wanted::Gates(_) => Ok(()),
    }
}
