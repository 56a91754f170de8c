//! What the memory limits: GELU, LayerNorm, embeddings, dropout masks, AdamW. Bytes are those of large operands, each
//! counted as often as it is read and written at least.

use crate::{
    floats, measure,
    shape::{BATCH, LENGTH, Shape, TOKENS, layers, models, numbers},
};
use divan::Bencher;
use lottery::{
    model::{
        BertConfig,
        params::{Head, Layout},
    },
    ops::{
        dropout::DropoutPlan,
        embedding,
        layer_norm::{self, Gradients, Norm, Sublayer},
        optimizer::{self, AdamW, Optimizer},
        rng::{Purpose, Stream},
        select::{Order, Part, take},
    },
};
use rayon::prelude::*;

const PLAN: DropoutPlan = DropoutPlan { seed: 1, step: 1, hidden: 0.1, attention: 0.1, classifier: 0.1 };

/// A block's end: bias, dropout, residual, LayerNorm.
struct BlockEnd {
    n: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    inverse: Vec<f32>,
    residual: Vec<f32>,
    /// Bias, γ and β at once.
    small: Vec<f32>,
}

impl BlockEnd {
    fn new(shape: &Shape) -> Self {
        let n = TOKENS * shape.hidden;
        Self {
            n,
            x: numbers(n),
            y: vec![0.0; n],
            inverse: vec![0.0; TOKENS],
            residual: numbers(n),
            small: vec![1.0; shape.hidden],
        }
    }

    fn forward(&mut self) {
        let Self { x, y, inverse, residual, small, .. } = self;
        let norm = Norm { gamma: small, beta: small, epsilon: 1e-12 };
        layer_norm::forward(x, &sublayer(small, residual), &norm, y, inverse, None);
    }
}

fn sublayer<'a>(bias: &'a [f32], residual: &'a [f32]) -> Sublayer<'a> {
    let dropout = PLAN.hidden(Purpose::FfnOutputDropout, 0);
    Sublayer { bias: Some(bias), dropout, gate: 1.0, residual: Some(residual) }
}

#[divan::bench(args = layers())]
fn layer_norm_forward(bencher: Bencher, shape: &Shape) {
    let mut end = BlockEnd::new(shape);
    measure(bencher, floats(5 * end.n), || end.forward());
}

#[divan::bench(args = layers())]
fn layer_norm_backward(bencher: Bencher, shape: &Shape) {
    let mut end = BlockEnd::new(shape);
    end.forward();
    let BlockEnd { n, x: x_hat, y: mut dx, inverse, residual, small } = end;
    let mut dy = numbers(n);
    let [mut gamma, mut beta] = [(); 2].map(|()| vec![0.0; shape.hidden]);
    let end = sublayer(&small, &residual);
    measure(bencher, floats(4 * n), || {
        let sums = Gradients { gamma: &mut gamma, beta: &mut beta };
        layer_norm::backward(&mut dy, &x_hat, &inverse, &small, &end, &mut dx, Some(sums));
    });
}

/// Words drawn from the published vocabulary; the table's gradient is read and written where they are.
#[divan::bench(args = layers())]
fn embedding_backward(bencher: Bencher, shape: &Shape) {
    const WORDS: u32 = 30_522;
    let mut stream = Stream::new(1, Purpose::Split, 0);
    let words: Vec<u32> = (0..TOKENS).map(|_| stream.below(WORDS)).collect();
    let n = TOKENS * shape.hidden;
    let (d, mut table) = (numbers(n), vec![0.0; WORDS as usize * shape.hidden]);
    measure(bencher, floats(3 * n), || embedding::backward(&words, &d, shape.hidden, &mut table));
}

/// x ⊙ mask of hidden states.
#[divan::bench(args = layers())]
fn dropout_hidden(bencher: Bencher, shape: &Shape) {
    let mask = PLAN.hidden(Purpose::EmbeddingDropout, 0).expect("the rate is not 0");
    // Zeros stay zeros: what is multiplied again and again must not overflow.
    let mut x = vec![0.0; TOKENS * shape.hidden];
    measure(bencher, floats(2 * TOKENS * shape.hidden), || mask.apply(&mut x));
}

/// The multipliers of all probabilities of a layer, a (sequence, head) at a time.
#[divan::bench(args = layers())]
fn dropout_attention(bencher: Bencher, shape: &Shape) {
    let mut masks = vec![0.0; BATCH * shape.heads * LENGTH * LENGTH];
    measure(bencher, floats(masks.len()), || {
        masks.par_chunks_mut(LENGTH * LENGTH).enumerate().for_each(|(i, out)| {
            let (sequence, head) = (i / shape.heads, i % shape.heads);
            if let Some(mask) = PLAN.attention(0, head, sequence) {
                mask.multipliers(0, out);
            }
        });
    });
}

fn layout(shape: &Shape) -> Layout {
    let config = BertConfig::of_shape(shape.layers, shape.hidden, shape.heads, shape.inner);
    Layout::new(&config, &config.full_shape(), Head::Classifier { labels: 2 })
}

/// Over all parameters: weights, gradients and both moments are read and written.
#[divan::bench(args = models())]
fn adamw_step(bencher: Bencher, shape: &Shape) {
    let (layout, n) = (layout(shape), layout(shape).len);
    let optimizer = Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 });
    let (mut w, mut g, mut state) = (numbers(n), numbers(n), optimizer.state(n));
    let decayed = layout.decayed();
    measure(bencher, floats(8 * n), || state.step(&mut w, &mut g, None, &decayed, 1e-5, 1.0));
}

/// The global norm of all gradients.
#[divan::bench(args = models())]
fn adamw_norm(bencher: Bencher, shape: &Shape) {
    let n = layout(shape).len;
    let g = numbers(n);
    measure(bencher, floats(n), || {
        divan::black_box(optimizer::norm(&g, None));
    });
}

/// The mask of BERT-base's 85.5 million prunable weights: 70 % of them all, the smallest.
#[divan::bench(name = "prune_base")]
fn prune_weights(bencher: Bencher) {
    let weights = numbers(85_524_480);
    let parts = [Part { values: &weights, left: &[] }];
    let pruned = weights.len() / 10 * 7;
    measure(bencher, floats(weights.len()), || drop(take(&parts, pruned, Order::Smallest)));
}
