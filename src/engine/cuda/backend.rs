//! The operations on a CUDA device, or on what stands for one.

use super::{
    attention,
    batch::Part,
    device::{Activations, Cuda, address},
    gradient::Gradient,
    outputs::GateOutputs,
};
use crate::{
    error::{Error, Result},
    model::{
        backend::{self, Attended, Backend, Bias, Normed, Qkv, Sizes, Slot, Tables, Unit},
        pass::Layer,
    },
    ops::{
        activation::{Activation, PoolerActivation},
        cuda::{
            Format, activation, dropout, embedding, gates, layer_norm,
            linear::{self, Rows},
            pooler, rows,
        },
        dropout::Dropout,
        product::Write,
    },
};

/// Elements between the rows of the masked-LM head's logits, and of their gradient: a product reads and writes 16 bytes at
/// once only where they all begin at whole ones, which rows of BERT's vocabulary, no multiple of four, would not.
pub(super) fn word_stride(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(8)
}

impl Cuda<'_> {
    fn sublayer(&self, end: &backend::Sublayer<Activations>) -> layer_norm::Sublayer {
        let (bias, residual) = (end.bias.map(|slot| self.weights.f32(slot)), end.residual.map(address));
        layer_norm::Sublayer { bias, dropout: end.dropout, gate: end.gate, residual }
    }

    /// Of a head whose rows of outputs are the given number of elements apart.
    fn weight_and_bias(
        &self,
        dy: Rows,
        x: &Activations,
        (n, i, o): Sizes,
        [weight, bias]: [&Slot; 2],
        gradient: &Gradient,
    ) -> Result<()> {
        let (gpu, format) = (self.gpu(), self.format());
        linear::backward_weight(gpu, format, dy, address(x), (n, i, o), gradient.of(weight), false)?;
        linear::backward_bias(gpu, format, dy, n, o, gradient.of(bias), gradient.sums, false)
    }
}

impl<'a> Backend for Cuda<'a> {
    type Buffer = Activations;
    type Gradient = Gradient<'a>;
    type GateGradients = GateOutputs;
    type Error = Error;

    const KEEPS_OUTPUTS: bool = true;

    fn reserve(&self, buffer: &mut Activations, len: usize) -> Result<()> {
        self.fit(buffer, len).map(drop)
    }

    fn clear(&self, buffer: &mut Activations, len: usize) -> Result<()> {
        self.gpu.clear(self.fit(buffer, len)?, len * self.format().bytes())
    }

    fn copy(&self, from: &Activations, to: &mut Activations, len: usize) -> Result<()> {
        self.gpu.copy(address(from), self.fit(to, len)?, len * self.format().bytes())
    }

    fn embed(&self, tables: &Tables, h: usize, out: &mut Activations) -> Result<()> {
        // Where there are no token types the batch says that every token has the first, which is zeros.
        let token_types = tables.token_types.unwrap_or(&self.weights.layout.segments);
        let (t, all) = (self.batch.tokens, [tables.words, tables.positions, token_types]);
        let rows = [Part::Ids, Part::Positions, Part::Segments].map(|part| self.batch.at(part));
        let all = all.map(|slot| self.weights.f32(slot));
        embedding::forward(self.gpu(), self.format(), all, rows, self.fit(out, t * h)?, t, h)
    }

    fn embed_backward(
        &self,
        d: &Activations,
        tables: &Tables,
        h: usize,
        scratch: &mut Activations,
        gradient: &mut Gradient<'a>,
    ) -> Result<()> {
        let (gpu, d, scratch) = (self.gpu(), address(d), self.buffer(scratch));
        let tables = [tables.words, tables.positions].into_iter().chain(tables.token_types);
        for (users, table) in self.batch.users.iter().zip(tables) {
            embedding::backward(gpu, self.format(), users, d, h, gradient.of(table), scratch)?;
        }
        Ok(())
    }

    fn gather(&self, x: &Activations, h: usize, out: &mut Activations) -> Result<()> {
        let (r, chosen) = (self.batch.chosen, self.batch.at(Part::Chosen));
        rows::gather(self.gpu(), self.format(), address(x), chosen, r, h, self.fit(out, r * h)?)
    }

    fn scatter_add(&self, d: &Activations, h: usize, to: &mut Activations) -> Result<()> {
        let (r, chosen) = (self.batch.chosen, self.batch.at(Part::Chosen));
        rows::scatter_add(self.gpu(), self.format(), address(d), chosen, r, h, address(to))
    }

    fn dropout(&self, mask: &Dropout, x: &mut Activations, len: usize) -> Result<()> {
        dropout::apply(self.gpu(), self.format(), mask, address(x), len)
    }

    fn linear(
        &self,
        x: &Activations,
        weight: &Slot,
        bias: Option<&Slot>,
        (n, i, o): Sizes,
        y: &mut Activations,
    ) -> Result<()> {
        let (weight, bias) = (self.weights.operand(weight), bias.map(|slot| self.weights.operand(slot)));
        let (format, y) = (self.format(), self.fit(y, n * o)?);
        linear::forward(self.gpu(), format, address(x), weight, bias, (n, i, o), y, format)
    }

    fn linear_backward_input(
        &self,
        dy: &Activations,
        weight: &Slot,
        (n, i, o): Sizes,
        dx: &mut Activations,
        write: Write,
    ) -> Result<()> {
        let (weight, dx, add) = (self.weights.operand(weight), self.fit(dx, n * i)?, write == Write::Add);
        linear::backward_input(self.gpu(), self.format(), address(dy), weight, (n, i, o), dx, add)
    }

    fn linear_backward_weight(
        &self,
        dy: &Activations,
        x: &Activations,
        sizes: Sizes,
        weight: &Slot,
        bias: Bias,
        gradient: &mut Gradient<'a>,
    ) -> Result<()> {
        let dy = Rows::from(address(dy));
        match bias {
            Bias::Own(bias) => self.weight_and_bias(dy, x, sizes, [weight, bias], gradient),
            Bias::Fused(_) => {
                let (gpu, weight) = (self.gpu(), gradient.of(weight));
                linear::backward_weight(gpu, self.format(), dy, address(x), sizes, weight, false)
            }
        }
    }

    fn linear_activation(
        &self,
        function: Activation,
        x: &Activations,
        weight: &Slot,
        bias: &Slot,
        (n, i, o): Sizes,
        inner: &mut Activations,
        a: &mut Activations,
        _: bool,
    ) -> Result<()> {
        let (bias, a) = (self.weights.f32(bias), self.fit(a, n * o)?);
        self.linear(x, weight, None, (n, i, o), inner)?;
        activation::forward(self.gpu(), self.format(), function, address(inner), bias, a, n, o)
    }

    fn activation_linear_backward(
        &self,
        function: Activation,
        dy: &Activations,
        [weight, bias, inner_bias]: [&Slot; 3],
        (n, i, o): Sizes,
        inner: &mut Activations,
        a: &Activations,
        d_inner: &mut Activations,
        mut gradient: Option<&mut Gradient<'a>>,
    ) -> Result<()> {
        self.linear_backward_input(dy, weight, (n, i, o), d_inner, Write::Replace)?;
        if let Some(gradient) = &mut gradient {
            // The LayerNorm summed the bias's.
            self.linear_backward_weight(dy, a, (n, i, o), weight, Bias::Fused(bias), gradient)?;
        }
        self.activation_backward(function, inner, d_inner, [n, i], inner_bias, gradient)
    }

    fn activation_backward(
        &self,
        function: Activation,
        inner: &mut Activations,
        da: &mut Activations,
        [n, o]: [usize; 2],
        inner_bias: &Slot,
        gradient: Option<&mut Gradient<'a>>,
    ) -> Result<()> {
        let sum = gradient.map(|gradient| (gradient.of(inner_bias), gradient.sums));
        activation::backward(self.gpu(), self.format(), function, address(inner), address(da), n, o, sum)
    }

    fn norm(
        &self,
        n: usize,
        normed: &mut Normed<Activations>,
        sublayer: &backend::Sublayer<Activations>,
        norm: backend::Norm,
        y: &mut Activations,
        output: Option<&mut Activations>,
    ) -> Result<()> {
        let (gpu, format, h) = (self.gpu(), self.format(), norm.gamma.len());
        let norm = layer_norm::Norm {
            gamma: self.weights.f32(norm.gamma),
            beta: self.weights.f32(norm.beta),
            epsilon: self.weights.config.layer_norm_eps as f32,
        };
        let (y, inverse) = (self.fit(y, n * h)?, self.floats(&normed.inverse, n)?);
        let output = output.map(|output| self.fit(output, n * h)).transpose()?;
        let (x, sublayer) = (address(&normed.x_hat), self.sublayer(sublayer));
        layer_norm::forward(gpu, format, x, &sublayer, &norm, y, inverse, output, n, h)
    }

    /// They are kept.
    fn norm_again(
        &self,
        _: usize,
        _: &Normed<Activations>,
        _: backend::Norm,
        _: &mut Activations,
    ) -> Result<()> {
        Ok(())
    }

    fn norm_backward(
        &self,
        n: usize,
        dy: &mut Activations,
        normed: &Normed<Activations>,
        sublayer: &backend::Sublayer<Activations>,
        norm: backend::Norm,
        dx: &mut Activations,
        gradient: Option<&mut Gradient<'a>>,
    ) -> Result<()> {
        let (gpu, format, h) = (self.gpu(), self.format(), norm.gamma.len());
        let sums = gradient.map(|gradient| layer_norm::Gradients {
            gamma: gradient.of(norm.gamma),
            beta: gradient.of(norm.beta),
            bias: sublayer.bias.map(|slot| gradient.of(slot)),
            sums: gradient.sums,
        });
        let dx = sublayer.bias.map(|_| self.fit(dx, n * h)).transpose()?;
        let (x_hat, inverse) = (address(&normed.x_hat), address(&normed.inverse));
        let (gamma, end) = (self.weights.f32(norm.gamma), self.sublayer(sublayer));
        layer_norm::backward(gpu, format, address(dy), x_hat, inverse, gamma, &end, dx, sums.as_ref(), n, h)
    }

    fn attention(&self, layer: &Layer, attended: &mut Attended<Activations>) -> Result<()> {
        attention::forward(self, layer, attended)
    }

    fn attention_backward(
        &self,
        layer: &Layer,
        d_context: &Activations,
        attended: &Attended<Activations>,
        row_sums: &mut Activations,
        d_qkv: &mut Qkv<Activations>,
    ) -> Result<()> {
        attention::backward(self, layer, d_context, attended, row_sums, d_qkv)
    }

    fn scale_heads(&self, layer: &Layer, x: &mut Activations) -> Result<()> {
        let Some(gates) = self.head_gates else { return Ok(()) };
        let (x, of_layer) = (address(x), gates + (layer.head_range().start * 4) as u64);
        let (rows, heads, d) = (layer.rows, layer.heads(), layer.head_size);
        gates::scale_heads(self.gpu(), self.format(), x, of_layer, rows, heads, d)
    }

    fn gate_products(
        &self,
        layer: &Layer,
        unit: Unit,
        x: &Activations,
        dx: &Activations,
        out: &mut GateOutputs,
    ) -> Result<()> {
        let (units, width) = match unit {
            Unit::Heads => (layer.heads(), layer.head_size),
            Unit::Ffn => (1, layer.hidden),
        };
        let (x, dx, to) = (address(x), address(dx), out.of(layer, unit));
        gates::products(self.gpu(), self.format(), x, dx, layer.rows, units, width, to)
    }

    fn pooler_activation(
        &self,
        function: PoolerActivation,
        x: &mut Activations,
        mask: Option<&Dropout>,
        dropped: &mut Activations,
        len: usize,
    ) -> Result<()> {
        let (x, dropped) = (address(x), self.fit(dropped, len)?);
        pooler::forward(self.gpu(), self.format(), function, x, mask, dropped, len)
    }

    fn pooler_activation_backward(
        &self,
        function: PoolerActivation,
        d: &mut Activations,
        y: &Activations,
        mask: Option<&Dropout>,
        len: usize,
    ) -> Result<()> {
        pooler::backward(self.gpu(), self.format(), function, address(d), address(y), mask, len)
    }

    fn logits(
        &self,
        x: &Activations,
        weight: &Slot,
        bias: &Slot,
        (n, i, o): Sizes,
        logits: &mut Activations,
    ) -> Result<()> {
        let (weight, bias) = (self.weights.operand(weight), Some(self.weights.f32(bias)));
        let (gpu, logits) = (self.gpu(), self.floats(logits, n * o)?);
        linear::forward(gpu, self.format(), address(x), weight, bias, (n, i, o), logits, Format::F32)
    }

    fn decode(
        &self,
        x: &Activations,
        words: &Slot,
        bias: &Slot,
        (n, i, o): Sizes,
        logits: &mut Activations,
    ) -> Result<()> {
        let (words, bias, stride) =
            (self.weights.operand(words), Some(self.weights.f32(bias)), word_stride(o));
        let (gpu, logits) = (self.gpu(), Rows::apart(self.floats(logits, n * stride)?, stride));
        linear::forward(gpu, self.format(), address(x), words, bias, (n, i, o), logits, Format::F32)
    }

    fn decode_backward(
        &self,
        d_logits: &Activations,
        x: &Activations,
        words: &Slot,
        bias: &Slot,
        (n, i, o): Sizes,
        dx: &mut Activations,
        gradient: Option<&mut Gradient<'a>>,
    ) -> Result<()> {
        let d_logits = Rows::apart(address(d_logits), word_stride(o));
        let (weight, dx) = (self.weights.operand(words), self.fit(dx, n * i)?);
        linear::backward_input(self.gpu(), self.format(), d_logits, weight, (n, i, o), dx, false)?;
        gradient
            .map_or(Ok(()), |gradient| self.weight_and_bias(d_logits, x, (n, i, o), [words, bias], gradient))
    }
}
