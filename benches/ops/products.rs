//! The products of a step, (T, in) · (in, out) of each linear layer, in their three orientations; and attention.

use crate::{
    flop, measure,
    shape::{BATCH, LENGTH, Shape, TOKENS, layers, numbers},
};
use divan::Bencher;
use lottery::ops::{
    Format,
    activation::{self, Activation},
    attention::{self, QkvMut, Rows, RowsMut, Saved},
    dropout::DropoutPlan,
    linear,
    product::Write,
};
use std::fmt;

/// A linear layer of a BERT.
#[derive(Clone, Copy)]
struct Linear {
    shape: Shape,
    name: &'static str,
    from: usize,
    to: usize,
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} {}→{}", self.shape, self.name, self.from, self.to)
    }
}

impl Linear {
    /// Of one product.
    fn flop(&self) -> usize {
        2 * TOKENS * self.from * self.to
    }
}

fn linears() -> Vec<Linear> {
    let of =
        |shape: Shape| {
            let (h, f) = (shape.hidden, shape.inner);
            [("qkv", h, 3 * h), ("output", h, h), ("up", h, f), ("down", f, h)]
                .map(|(name, from, to)| Linear { shape, name, from, to })
        };
    layers().into_iter().flat_map(of).collect()
}

/// y = x Wᵀ
#[divan::bench(args = linears())]
fn forward(bencher: Bencher, linear: &Linear) {
    let Linear { from, to, .. } = *linear;
    let (x, w, mut y) = (numbers(TOKENS * from), numbers(from * to), vec![0.0; TOKENS * to]);
    measure(bencher, flop(linear.flop()), || {
        linear::forward(Format::F32, &x, &w, (TOKENS, from, to), None, &mut y)
    });
}

/// dx = dy W
#[divan::bench(args = linears())]
fn input_gradient(bencher: Bencher, linear: &Linear) {
    let Linear { from, to, .. } = *linear;
    let (dy, w, mut dx) = (numbers(TOKENS * to), numbers(from * to), vec![0.0; TOKENS * from]);
    measure(bencher, flop(linear.flop()), || {
        linear::backward_input(Format::F32, &dy, &w, (TOKENS, from, to), &mut dx, Write::Replace);
    });
}

/// dW += dyᵀ x
#[divan::bench(args = linears())]
fn weight_gradient(bencher: Bencher, linear: &Linear) {
    let Linear { from, to, .. } = *linear;
    let (dy, x) = (numbers(TOKENS * to), numbers(TOKENS * from));
    let (mut dw, mut db) = (vec![0.0; from * to], vec![0.0; to]);
    measure(bencher, flop(linear.flop()), || {
        linear::backward_weight(Format::F32, &dy, &x, (TOKENS, from, to), &mut dw, &mut db);
    });
}

/// h ← x Wᵀ + b, a ← gelu(h)
#[divan::bench(args = layers())]
fn up_with_gelu(bencher: Bencher, shape: &Shape) {
    let (from, to) = (shape.hidden, shape.inner);
    let (x, w, bias) = (numbers(TOKENS * from), numbers(from * to), vec![0.5; to]);
    let [mut h, mut a] = [(); 2].map(|()| vec![0.0; TOKENS * to]);
    measure(bencher, flop(2 * TOKENS * from * to), || {
        activation::linear_forward(
            Activation::Gelu,
            Format::F32,
            &x,
            &w,
            (TOKENS, from, to),
            &bias,
            &mut h,
            Some(&mut a),
        );
    });
}

/// dh ← (dy W) ⊙ gelu'(h), h ← gelu(h)
#[divan::bench(args = layers())]
fn down_gradient_with_gelu(bencher: Bencher, shape: &Shape) {
    let (from, to) = (shape.inner, shape.hidden);
    let (dy, w, mut h) = (numbers(TOKENS * to), numbers(from * to), numbers(TOKENS * from));
    let mut dh = vec![0.0; TOKENS * from];
    measure(bencher, flop(2 * TOKENS * from * to), || {
        activation::linear_backward(
            Activation::Gelu,
            Format::F32,
            &dy,
            &w,
            (TOKENS, from, to),
            &mut h,
            &mut dh,
        );
    });
}

const PLAN: DropoutPlan = DropoutPlan { seed: 1, step: 1, hidden: 0.1, attention: 0.1, classifier: 0.1 };

/// Everything that attention reads and writes in one layer.
struct Attention {
    shape: Shape,
    heads: Vec<usize>,
    offsets: Vec<usize>,
    /// (T, 3A)
    qkv: Vec<f32>,
    statistics: Vec<f32>,
    context: Vec<f32>,
}

impl Attention {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            heads: (0..shape.heads).collect(),
            offsets: (0..=BATCH).map(|s| s * LENGTH).collect(),
            qkv: numbers(TOKENS * 3 * shape.hidden),
            statistics: vec![0.0; 2 * TOKENS * shape.heads],
            context: vec![0.0; TOKENS * shape.hidden],
        }
    }

    /// Of so many products of queries and keys.
    fn flop(&self, products: usize) -> usize {
        products * 2 * TOKENS * LENGTH * self.shape.hidden
    }

    fn forward(&mut self) {
        let (hidden, head_size) = (self.shape.hidden, self.shape.head_size());
        let Self { heads, offsets, qkv, statistics, context, .. } = self;
        let [q, k, v] = [0, 1, 2].map(|i| Rows { data: &qkv[i * hidden..], stride: 3 * hidden });
        let shape = attention::Shape { heads, head_size, queries: offsets, keys: offsets };
        let context = RowsMut { data: context, stride: hidden };
        attention::forward(Format::F32, q, k, v, &shape, Some((&PLAN, 0)), statistics, context);
    }

    fn backward(&self, d_context: &[f32], data: &mut [f32]) {
        let (hidden, head_size) = (self.shape.hidden, self.shape.head_size());
        let Self { heads, offsets, qkv, statistics, .. } = self;
        let [q, k, v] = [0, 1, 2].map(|i| Rows { data: &qkv[i * hidden..], stride: 3 * hidden });
        let shape = attention::Shape { heads, head_size, queries: offsets, keys: offsets };
        let saved = Saved { q, k, v, statistics };
        let [q, k, v] = [0, 1, 2].map(|i| (i * hidden, 3 * hidden));
        let d_context = Rows { data: d_context, stride: hidden };
        attention::backward(
            Format::F32,
            d_context,
            &saved,
            &shape,
            Some((&PLAN, 0)),
            QkvMut { data, of_kv: None, q, k, v },
        );
    }
}

/// Softmax and dropout are in the time, not in the operations.
#[divan::bench(args = layers())]
fn attention_forward(bencher: Bencher, shape: &Shape) {
    let mut attention = Attention::new(*shape);
    measure(bencher, flop(attention.flop(2)), || attention.forward());
}

#[divan::bench(args = layers())]
fn attention_backward(bencher: Bencher, shape: &Shape) {
    let mut attention = Attention::new(*shape);
    attention.forward();
    let (d_context, mut d_qkv) = (numbers(TOKENS * shape.hidden), vec![0.0; TOKENS * 3 * shape.hidden]);
    measure(bencher, flop(attention.flop(4)), || attention.backward(&d_context, &mut d_qkv));
}
