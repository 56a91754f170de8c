//! What a model's passes ask of the device that computes them. Where one device does in a single kernel what another does
//! in several, the operation here is the whole of it.

use super::pass::Layer;
use crate::ops::{
    activation::{Activation, PoolerActivation},
    dropout::Dropout,
    product::Write,
};
use std::ops::Range;

/// Where a tensor, or rows of one, lie in the parameters.
pub(crate) type Slot = Range<usize>;

/// Rows, width of the input and width of the output of a linear layer: x (n, i), W (o, i), y (n, o).
pub(crate) type Sizes = (usize, usize, usize);

/// The embeddings' tables of words, positions and, if there are any, token types.
pub(crate) struct Tables<'a> {
    pub words: &'a Slot,
    pub positions: &'a Slot,
    pub token_types: Option<&'a Slot>,
}

/// What a block's end adds up before its LayerNorm: residual + gate · dropout(x + bias).
pub(crate) struct Sublayer<'a, B> {
    /// Of the linear layer that gives x; without one there is no such layer, and nobody asks for the gradient by x.
    pub bias: Option<&'a Slot>,
    pub dropout: Option<Dropout>,
    /// 0 removes the sublayer's output, 1 keeps it.
    pub gate: f32,
    pub residual: Option<&'a B>,
}

impl<B> Sublayer<'_, B> {
    /// x itself.
    pub const PLAIN: Self = Self { bias: None, dropout: None, gate: 1.0, residual: None };
}

/// Scale and shift of a LayerNorm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub gamma: &'a Slot,
    pub beta: &'a Slot,
}

/// What the backward pass of a LayerNorm reads.
#[derive(Default)]
pub(crate) struct Normed<B> {
    /// (n, H) before scale and shift; the LayerNorm's input until then
    pub x_hat: B,
    /// (n): 1/σ
    pub inverse: B,
}

/// Queries, keys and values, or their gradients.
#[derive(Default)]
pub(crate) struct Qkv<B> {
    /// (T, 3A): all three side by side; in the last layer queries alone (rows, A).
    pub q: B,
    /// In the last layer, keys and values (T, 2A).
    pub kv: B,
}

/// What attention's backward pass reads.
#[derive(Default)]
pub(crate) struct Attended<B> {
    pub qkv: Qkv<B>,
    /// Of each query's softmax: numbers from which the backward pass has the probabilities again.
    pub statistics: B,
    /// Which probabilities dropout keeps, where the backend does not draw that again.
    pub kept: B,
    /// (rows, A)
    pub context: B,
}

/// A bias whose gradient is wanted, the sum of dy's rows.
#[derive(Clone, Copy)]
pub(crate) enum Bias<'a> {
    /// Nobody else has summed it.
    Own(&'a Slot),
    /// The kernel that gave dy, which also adds this bias in the forward pass, can have summed it on the way. Where it
    /// does, the backend leaves it out here.
    Fused(&'a Slot),
}

/// Units that gates multiply.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Heads,
    Ffn,
}

/// What an operation gives: it leaves its results in buffers.
pub(crate) type Done<O> = Result<(), <O as Backend>::Error>;

/// The operations, on the parameters and the batch that the backend holds. Matrices are row-major; a buffer that is
/// written grows to what is written. Gradients of parameters are added where they begin as zeros, and written where the
/// backend says so.
pub(crate) trait Backend {
    /// Activations, without any until something is written.
    type Buffer: Default;
    /// Where the gradients of parameters go.
    type Gradient: ?Sized;
    /// Where those of gates go.
    type GateGradients;
    type Error;

    /// Whether the outputs of blocks and of activations stay until the backward pass, which otherwise computes them again:
    /// memory against time.
    const KEEPS_OUTPUTS: bool;

    /// Room for so many elements, whatever they are.
    fn reserve(&self, buffer: &mut Self::Buffer, len: usize) -> Done<Self>;

    /// Zeros.
    fn clear(&self, buffer: &mut Self::Buffer, len: usize) -> Done<Self>;

    fn copy(&self, from: &Self::Buffer, to: &mut Self::Buffer, len: usize) -> Done<Self>;

    /// out (T, H) ← the sum of the tables' rows.
    fn embed(&self, tables: &Tables, h: usize, out: &mut Self::Buffer) -> Done<Self>;

    /// Each table's gradient += d (T, H) at the tokens' rows.
    fn embed_backward(
        &self,
        d: &Self::Buffer,
        tables: &Tables,
        h: usize,
        scratch: &mut Self::Buffer,
        gradient: &mut Self::Gradient,
    ) -> Done<Self>;

    /// out (rows, H) ← the rows of x (T, H) that the head reads.
    fn gather(&self, x: &Self::Buffer, h: usize, out: &mut Self::Buffer) -> Done<Self>;

    /// Those rows of `to` (T, H) += d (rows, H).
    fn scatter_add(&self, d: &Self::Buffer, h: usize, to: &mut Self::Buffer) -> Done<Self>;

    /// x (len) ← x ⊙ mask.
    fn dropout(&self, mask: &Dropout, x: &mut Self::Buffer, len: usize) -> Done<Self>;

    /// y ← x Wᵀ + b. Without a bias the next kernel adds it.
    fn linear(
        &self,
        x: &Self::Buffer,
        weight: &Slot,
        bias: Option<&Slot>,
        sizes: Sizes,
        y: &mut Self::Buffer,
    ) -> Done<Self>;

    /// dx (n, i) ← dy (n, o) W, or += it.
    fn linear_backward_input(
        &self,
        dy: &Self::Buffer,
        weight: &Slot,
        sizes: Sizes,
        dx: &mut Self::Buffer,
        write: Write,
    ) -> Done<Self>;

    /// dW ← dyᵀ x, and db. Of an input without columns the bias is all there is.
    fn linear_backward_weight(
        &self,
        dy: &Self::Buffer,
        x: &Self::Buffer,
        sizes: Sizes,
        weight: &Slot,
        bias: Bias,
        gradient: &mut Self::Gradient,
    ) -> Done<Self>;

    /// a ← f(x Wᵀ + b). With `keep`, `inner` is what the backward pass reads.
    #[allow(clippy::too_many_arguments)]
    fn linear_activation(
        &self,
        function: Activation,
        x: &Self::Buffer,
        weight: &Slot,
        bias: &Slot,
        sizes: Sizes,
        inner: &mut Self::Buffer,
        a: &mut Self::Buffer,
        keep: bool,
    ) -> Done<Self>;

    /// Back through y = f(inner) Wᵀ: d_inner (n, i) from dy (n, o), and the gradients of W and of its bias. `a` is
    /// f(inner) where outputs are kept. That of the bias behind `inner` is one that may be summed on the way:
    /// [`Bias::Fused`].
    #[allow(clippy::too_many_arguments)]
    fn activation_linear_backward(
        &self,
        function: Activation,
        dy: &Self::Buffer,
        weight_bias_and_inner_bias: [&Slot; 3],
        sizes: Sizes,
        inner: &mut Self::Buffer,
        a: &Self::Buffer,
        d_inner: &mut Self::Buffer,
        gradient: Option<&mut Self::Gradient>,
    ) -> Done<Self>;

    /// da (n, o) becomes d_inner in place; the gradient of the bias behind `inner` may be summed on the way:
    /// [`Bias::Fused`].
    fn activation_backward(
        &self,
        function: Activation,
        inner: &mut Self::Buffer,
        da: &mut Self::Buffer,
        size: [usize; 2],
        inner_bias: &Slot,
        gradient: Option<&mut Self::Gradient>,
    ) -> Done<Self>;

    /// y (n, H) ← LayerNorm of the sublayer's sum, whose x stands in `normed.x_hat`; `output` receives the sublayer's
    /// ungated output when asked for.
    fn norm(
        &self,
        n: usize,
        normed: &mut Normed<Self::Buffer>,
        sublayer: &Sublayer<Self::Buffer>,
        norm: Norm,
        y: &mut Self::Buffer,
        output: Option<&mut Self::Buffer>,
    ) -> Done<Self>;

    /// The y (n, H) of [`Self::norm`] once more, where outputs are not kept.
    fn norm_again(
        &self,
        n: usize,
        normed: &Normed<Self::Buffer>,
        norm: Norm,
        y: &mut Self::Buffer,
    ) -> Done<Self>;

    /// dy (n, H) becomes the residual's gradient in place; `dx` (n, H) is overwritten, with the gradient by the
    /// sublayer's x if it has a bias.
    #[allow(clippy::too_many_arguments)]
    fn norm_backward(
        &self,
        n: usize,
        dy: &mut Self::Buffer,
        normed: &Normed<Self::Buffer>,
        sublayer: &Sublayer<Self::Buffer>,
        norm: Norm,
        dx: &mut Self::Buffer,
        gradient: Option<&mut Self::Gradient>,
    ) -> Done<Self>;

    /// context (rows, A) = dropout(softmax(q kᵀ / √d)) v, and what the backward pass reads.
    fn attention(&self, layer: &Layer, attended: &mut Attended<Self::Buffer>) -> Done<Self>;

    /// The gradients of queries, keys and values from that of the context (rows, A).
    fn attention_backward(
        &self,
        layer: &Layer,
        d_context: &Self::Buffer,
        attended: &Attended<Self::Buffer>,
        row_sums: &mut Self::Buffer,
        d_qkv: &mut Qkv<Self::Buffer>,
    ) -> Done<Self>;

    /// Each head's columns of x (rows, A) times its gate. The layer has gates.
    fn scale_heads(&self, layer: &Layer, x: &mut Self::Buffer) -> Done<Self>;

    /// ⟨x, dx⟩ of every row and unit: (rows, A) of heads, (rows, H) of an FFN.
    fn gate_products(
        &self,
        layer: &Layer,
        unit: Unit,
        x: &Self::Buffer,
        dx: &Self::Buffer,
        out: &mut Self::GateGradients,
    ) -> Done<Self>;

    /// x (len) ← f(x), dropped (len) ← x ⊙ mask.
    fn pooler_activation(
        &self,
        function: PoolerActivation,
        x: &mut Self::Buffer,
        mask: Option<&Dropout>,
        dropped: &mut Self::Buffer,
        len: usize,
    ) -> Done<Self>;

    /// d (len), the gradient by the dropped values, becomes that by f's input; y (len) is f's output.
    fn pooler_activation_backward(
        &self,
        function: PoolerActivation,
        d: &mut Self::Buffer,
        y: &Self::Buffer,
        mask: Option<&Dropout>,
        len: usize,
    ) -> Done<Self>;

    /// As [`Self::linear`], in f32.
    fn logits(
        &self,
        x: &Self::Buffer,
        weight: &Slot,
        bias: &Slot,
        sizes: Sizes,
        logits: &mut Self::Buffer,
    ) -> Done<Self>;

    /// As [`Self::logits`]; how far the rows are apart is the backend's.
    fn decode(
        &self,
        x: &Self::Buffer,
        words: &Slot,
        bias: &Slot,
        sizes: Sizes,
        logits: &mut Self::Buffer,
    ) -> Done<Self>;

    /// Back through [`Self::decode`], the rows of `d_logits` being as far apart: dx, and the gradients of the words' table
    /// and the bias.
    #[allow(clippy::too_many_arguments)]
    fn decode_backward(
        &self,
        d_logits: &Self::Buffer,
        x: &Self::Buffer,
        words: &Slot,
        bias: &Slot,
        sizes: Sizes,
        dx: &mut Self::Buffer,
        gradient: Option<&mut Self::Gradient>,
    ) -> Done<Self>;
}
