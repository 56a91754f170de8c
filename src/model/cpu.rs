//! The operations on the CPU, in slices of f32.

use super::{
    backend::{Attended, Backend, Bias, Norm, Normed, Qkv, Sizes, Slot, Sublayer, Tables, Unit},
    gates::{self, GateGradients},
    params::{Params, disjoint},
    pass::{Input, Layer},
};
use crate::ops::{
    Format,
    activation::{self, Activation, PoolerActivation},
    attention::{self, QkvMut, Rows, RowsMut, Shape},
    dropout::Dropout,
    embedding::{self, Lookup},
    fit, layer_norm, linear,
    product::Write,
};
use std::{borrow::Cow, convert::Infallible};

type Done = Result<(), Infallible>;

/// Rows of a packed batch, ascending.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub rows: Vec<usize>,
    /// (B + 1) where each sequence's part of `rows` begins
    pub offsets: Vec<usize>,
}

/// A model's parameters, and a batch of which its head reads some rows.
pub(super) struct Cpu<'a> {
    pub params: &'a Params,
    pub epsilon: f32,
    pub format: Format,
    pub input: &'a Input<'a>,
    /// Of padding, where positions are counted from it.
    pub padding: Option<u32>,
    pub chosen: &'a Chosen,
}

impl<'a> Cpu<'a> {
    fn at(&self, slot: &Slot) -> &'a [f32] {
        self.params.at(slot)
    }

    /// The tables, and which row of each a token takes; of words and positions these.
    fn lookups<'t>(&'t self, tables: &Tables<'t>, rows: &'t [Cow<[u32]>; 2]) -> Vec<(&'t Slot, Lookup<'t>)> {
        let all = [Some(tables.words), Some(tables.positions), tables.token_types];
        let all = all.into_iter().zip([&*rows[0], &*rows[1], self.input.segments]);
        all.filter_map(|(slot, rows)| Some((slot?, Lookup { table: self.at(slot?), rows }))).collect()
    }

    fn norm_at(&self, norm: Norm) -> layer_norm::Norm<'a> {
        layer_norm::Norm { gamma: self.at(norm.gamma), beta: self.at(norm.beta), epsilon: self.epsilon }
    }

    fn sublayer<'s>(&self, end: &Sublayer<'s, Vec<f32>>) -> layer_norm::Sublayer<'s>
    where
        'a: 's,
    {
        let Sublayer { bias, dropout, gate, residual } = *end;
        let (bias, residual) = (bias.map(|slot| self.at(slot)), residual.map(|x| &x[..]));
        layer_norm::Sublayer { bias, dropout, gate, residual }
    }

    fn shape<'s>(&self, layer: &Layer<'s>) -> Shape<'s>
    where
        'a: 's,
    {
        Shape {
            heads: &layer.shape.heads,
            head_size: layer.head_size,
            queries: if layer.is_last { &self.chosen.offsets } else { self.input.offsets },
            keys: self.input.offsets,
        }
    }
}

/// Queries, keys and values in their buffers.
pub(super) fn split<'q>(layer: &Layer, Qkv { q, kv }: &'q Qkv<Vec<f32>>) -> [Rows<'q>; 3] {
    let a = layer.width();
    if layer.is_last {
        [
            Rows { data: q, stride: a },
            Rows { data: kv, stride: 2 * a },
            Rows { data: &kv[a..], stride: 2 * a },
        ]
    } else {
        [0, a, 2 * a].map(|from| Rows { data: &q[from..], stride: 3 * a })
    }
}

impl Backend for Cpu<'_> {
    type Buffer = Vec<f32>;
    type Gradient = [f32];
    type GateGradients = GateGradients;
    type Error = Infallible;

    const KEEPS_OUTPUTS: bool = false;

    fn reserve(&self, buffer: &mut Vec<f32>, len: usize) -> Done {
        fit(buffer, len);
        Ok(())
    }

    fn clear(&self, buffer: &mut Vec<f32>, len: usize) -> Done {
        fit(buffer, len).fill(0.0);
        Ok(())
    }

    fn copy(&self, from: &Vec<f32>, to: &mut Vec<f32>, len: usize) -> Done {
        fit(to, len).copy_from_slice(&from[..len]);
        Ok(())
    }

    fn embed(&self, tables: &Tables, h: usize, out: &mut Vec<f32>) -> Done {
        let rows = [Cow::Borrowed(self.input.ids), self.input.position_rows(self.padding)];
        let lookups: Vec<_> = self.lookups(tables, &rows).into_iter().map(|(_, lookup)| lookup).collect();
        embedding::forward(&lookups, h, fit(out, self.input.tokens() * h));
        Ok(())
    }

    fn embed_backward(
        &self,
        d: &Vec<f32>,
        tables: &Tables,
        h: usize,
        _: &mut Vec<f32>,
        gradient: &mut [f32],
    ) -> Done {
        for (table, Lookup { rows, .. }) in self.lookups(tables, &self.input.learning_rows(self.padding)) {
            embedding::backward(rows, &d[..rows.len() * h], h, &mut gradient[table.clone()]);
        }
        Ok(())
    }

    fn gather(&self, x: &Vec<f32>, h: usize, out: &mut Vec<f32>) -> Done {
        let rows = &self.chosen.rows;
        for (out, at) in fit(out, rows.len() * h).chunks_mut(h).zip(rows) {
            out.copy_from_slice(&x[at * h..(at + 1) * h]);
        }
        Ok(())
    }

    fn scatter_add(&self, d: &Vec<f32>, h: usize, to: &mut Vec<f32>) -> Done {
        for (d, at) in d.chunks(h).zip(&self.chosen.rows) {
            to[at * h..(at + 1) * h].iter_mut().zip(d).for_each(|(x, d)| *x += d);
        }
        Ok(())
    }

    fn dropout(&self, mask: &Dropout, x: &mut Vec<f32>, len: usize) -> Done {
        mask.apply(&mut x[..len]);
        Ok(())
    }

    fn linear(
        &self,
        x: &Vec<f32>,
        weight: &Slot,
        bias: Option<&Slot>,
        (n, i, o): Sizes,
        y: &mut Vec<f32>,
    ) -> Done {
        let bias = bias.map(|slot| self.at(slot));
        linear::forward(self.format, &x[..n * i], self.at(weight), (n, i, o), bias, fit(y, n * o));
        Ok(())
    }

    fn linear_backward_input(
        &self,
        dy: &Vec<f32>,
        weight: &Slot,
        (n, i, o): Sizes,
        dx: &mut Vec<f32>,
        write: Write,
    ) -> Done {
        linear::backward_input(self.format, &dy[..n * o], self.at(weight), (n, i, o), fit(dx, n * i), write);
        Ok(())
    }

    fn linear_backward_weight(
        &self,
        dy: &Vec<f32>,
        x: &Vec<f32>,
        (n, i, o): Sizes,
        weight: &Slot,
        bias: Bias,
        gradient: &mut [f32],
    ) -> Done {
        // The product sums the rows of dy as it reads them, so that nobody has to before.
        let (Bias::Own(bias) | Bias::Fused(bias)) = bias;
        let [d_weight, d_bias] = disjoint(gradient, [weight, bias]);
        linear::backward_weight(self.format, &dy[..n * o], &x[..n * i], (n, i, o), d_weight, d_bias);
        Ok(())
    }

    fn linear_activation(
        &self,
        function: Activation,
        x: &Vec<f32>,
        weight: &Slot,
        bias: &Slot,
        (n, i, o): Sizes,
        inner: &mut Vec<f32>,
        a: &mut Vec<f32>,
        keep: bool,
    ) -> Done {
        let (weight, bias, a) = (self.at(weight), self.at(bias), fit(a, n * o));
        let (inner, a) = if keep { (fit(inner, n * o), Some(a)) } else { (a, None) };
        activation::linear_forward(function, self.format, &x[..n * i], weight, (n, i, o), bias, inner, a);
        Ok(())
    }

    fn activation_linear_backward(
        &self,
        function: Activation,
        dy: &Vec<f32>,
        [weight, bias, _]: [&Slot; 3],
        (n, i, o): Sizes,
        inner: &mut Vec<f32>,
        _: &Vec<f32>,
        d_inner: &mut Vec<f32>,
        gradient: Option<&mut [f32]>,
    ) -> Done {
        let (of_weight, h, d_inner) = (self.at(weight), &mut inner[..n * i], fit(d_inner, n * i));
        activation::linear_backward(function, self.format, &dy[..n * o], of_weight, (n, i, o), h, d_inner);
        // What was before the activation is now behind it.
        gradient.map_or(Ok(()), |gradient| {
            self.linear_backward_weight(dy, inner, (n, i, o), weight, Bias::Own(bias), gradient)
        })
    }

    fn activation_backward(
        &self,
        function: Activation,
        inner: &mut Vec<f32>,
        da: &mut Vec<f32>,
        [n, o]: [usize; 2],
        _: &Slot,
        _: Option<&mut [f32]>,
    ) -> Done {
        activation::backward(function, &mut inner[..n * o], &mut da[..n * o]);
        Ok(())
    }

    fn norm(
        &self,
        n: usize,
        normed: &mut Normed<Vec<f32>>,
        sublayer: &Sublayer<Vec<f32>>,
        norm: Norm,
        y: &mut Vec<f32>,
        output: Option<&mut Vec<f32>>,
    ) -> Done {
        let (norm, len) = (self.norm_at(norm), n * norm.gamma.len());
        let (x, inverse) = (&mut normed.x_hat[..len], fit(&mut normed.inverse, n));
        let output = output.map(|output| fit(output, len));
        layer_norm::forward(x, &self.sublayer(sublayer), &norm, fit(y, len), inverse, output);
        Ok(())
    }

    fn norm_again(&self, n: usize, normed: &Normed<Vec<f32>>, norm: Norm, y: &mut Vec<f32>) -> Done {
        let len = n * norm.gamma.len();
        layer_norm::output(&normed.x_hat[..len], &self.norm_at(norm), fit(y, len));
        Ok(())
    }

    fn norm_backward(
        &self,
        n: usize,
        dy: &mut Vec<f32>,
        normed: &Normed<Vec<f32>>,
        sublayer: &Sublayer<Vec<f32>>,
        norm: Norm,
        dx: &mut Vec<f32>,
        gradient: Option<&mut [f32]>,
    ) -> Done {
        let len = n * norm.gamma.len();
        let sums = gradient.map(|gradient| {
            let [gamma, beta] = disjoint(gradient, [norm.gamma, norm.beta]);
            layer_norm::Gradients { gamma, beta }
        });
        let (x_hat, inverse, gamma) = (&normed.x_hat[..len], &normed.inverse[..n], self.at(norm.gamma));
        let sublayer = self.sublayer(sublayer);
        layer_norm::backward(&mut dy[..len], x_hat, inverse, gamma, &sublayer, fit(dx, len), sums);
        Ok(())
    }

    fn attention(&self, layer: &Layer, attended: &mut Attended<Vec<f32>>) -> Done {
        let Attended { qkv, statistics, context, .. } = attended;
        let (shape, [q, k, v]) = (self.shape(layer), split(layer, qkv));
        let statistics = fit(statistics, shape.statistics());
        let context = RowsMut { data: fit(context, layer.rows * layer.width()), stride: layer.width() };
        let dropout = layer.pass.dropout.map(|plan| (plan, layer.number));
        attention::forward(self.format, q, k, v, &shape, dropout, statistics, context);
        Ok(())
    }

    fn attention_backward(
        &self,
        layer: &Layer,
        d_context: &Vec<f32>,
        attended: &Attended<Vec<f32>>,
        _: &mut Vec<f32>,
        Qkv { q: d_q, kv: d_kv }: &mut Qkv<Vec<f32>>,
    ) -> Done {
        let (t, r, a) = (layer.tokens, layer.rows, layer.width());
        let (shape, [q, k, v]) = (self.shape(layer), split(layer, &attended.qkv));
        let saved = attention::Saved { q, k, v, statistics: &attended.statistics[..shape.statistics()] };
        let to = if layer.is_last {
            let (data, of_kv) = (fit(d_q, r * a), Some(fit(d_kv, t * 2 * a)));
            QkvMut { data, of_kv, q: (0, a), k: (0, 2 * a), v: (a, 2 * a) }
        } else {
            QkvMut { data: fit(d_q, t * 3 * a), of_kv: None, q: (0, 3 * a), k: (a, 3 * a), v: (2 * a, 3 * a) }
        };
        let d_context = Rows { data: &d_context[..r * a], stride: a };
        let dropout = layer.pass.dropout.map(|plan| (plan, layer.number));
        attention::backward(self.format, d_context, &saved, &shape, dropout, to);
        Ok(())
    }

    fn scale_heads(&self, layer: &Layer, x: &mut Vec<f32>) -> Done {
        if let Some(all) = layer.pass.gates {
            let x = &mut x[..layer.rows * layer.width()];
            gates::scale_heads(x, &all.heads[layer.head_range()], layer.head_size);
        }
        Ok(())
    }

    fn gate_products(
        &self,
        layer: &Layer,
        unit: Unit,
        x: &Vec<f32>,
        dx: &Vec<f32>,
        out: &mut GateGradients,
    ) -> Done {
        let out = &mut out.layers[layer.number];
        let (width, d, out) = match unit {
            Unit::Heads => (layer.width(), layer.head_size, &mut out.heads),
            Unit::Ffn => (layer.hidden, layer.hidden, &mut out.ffn),
        };
        let len = layer.rows * width;
        gates::products(&x[..len], &dx[..len], d, out);
        Ok(())
    }

    fn pooler_activation(
        &self,
        function: PoolerActivation,
        x: &mut Vec<f32>,
        mask: Option<&Dropout>,
        dropped: &mut Vec<f32>,
        len: usize,
    ) -> Done {
        function.apply(&mut x[..len]);
        self.copy(x, dropped, len)?;
        mask.map_or(Ok(()), |mask| self.dropout(mask, dropped, len))
    }

    fn pooler_activation_backward(
        &self,
        function: PoolerActivation,
        d: &mut Vec<f32>,
        y: &Vec<f32>,
        mask: Option<&Dropout>,
        len: usize,
    ) -> Done {
        mask.map_or(Ok(()), |mask| self.dropout(mask, d, len))?;
        function.apply_backward(&mut d[..len], y);
        Ok(())
    }

    fn logits(&self, x: &Vec<f32>, weight: &Slot, bias: &Slot, sizes: Sizes, logits: &mut Vec<f32>) -> Done {
        // Whoever reads them takes all that are there.
        logits.resize(sizes.0 * sizes.2, 0.0);
        self.linear(x, weight, Some(bias), sizes, logits)
    }

    fn decode(&self, x: &Vec<f32>, words: &Slot, bias: &Slot, sizes: Sizes, logits: &mut Vec<f32>) -> Done {
        self.logits(x, words, bias, sizes, logits)
    }

    fn decode_backward(
        &self,
        d_logits: &Vec<f32>,
        x: &Vec<f32>,
        words: &Slot,
        bias: &Slot,
        sizes: Sizes,
        dx: &mut Vec<f32>,
        gradient: Option<&mut [f32]>,
    ) -> Done {
        self.linear_backward_input(d_logits, words, sizes, dx, Write::Replace)?;
        gradient.map_or(Ok(()), |gradient| {
            self.linear_backward_weight(d_logits, x, sizes, words, Bias::Own(bias), gradient)
        })
    }
}
