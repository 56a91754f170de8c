//! What is measured: a BERT of some shape on a batch of random tokens.

use lottery::{
    model::{Bert, BertConfig, Head, Input, LayerShape},
    ops::{
        loss::Targets,
        rng::{Purpose, Stream},
    },
};
use std::time::Instant;

/// Name, layers, hidden size, heads, FFN.
pub type Shape = (&'static str, usize, usize, usize, usize);

pub const SHAPES: [Shape; 4] = [
    ("tiny", 2, 128, 2, 512),
    ("minilm6", 6, 384, 12, 1536),
    ("mini", 12, 384, 12, 1536),
    ("base", 12, 768, 12, 3072),
];

pub struct Work {
    pub name: &'static str,
    pub bert: Bert,
    pub batch: usize,
    pub length: usize,
    ids: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<u32>,
    offsets: Vec<usize>,
    classes: Vec<u32>,
}

impl Work {
    pub fn new(&(name, layers, hidden, heads, ffn): &Shape, batch: usize, length: usize) -> Self {
        let tokens = batch * length;
        let config = BertConfig::of_shape(layers, hidden, heads, ffn);
        let mut stream = Stream::new(1, Purpose::Split, 0);
        Self {
            name,
            bert: Bert::random(config, Head::Classifier { labels: 2 }, 0),
            batch,
            length,
            ids: (0..tokens).map(|_| stream.below(30522)).collect(),
            positions: (0..tokens).map(|t| (t % length) as u32).collect(),
            segments: vec![0; tokens],
            offsets: (0..=batch).map(|b| b * length).collect(),
            classes: (0..batch).map(|_| stream.below(2)).collect(),
        }
    }

    pub fn input(&self) -> Input<'_> {
        Input { ids: &self.ids, positions: &self.positions, segments: &self.segments, offsets: &self.offsets }
    }

    pub fn targets(&self) -> Targets<'_> {
        Targets::Classes(&self.classes)
    }

    /// Floating-point operations of a forward pass over all rows of all layers, the convention of the peer's benchmark.
    pub fn flop(&self) -> f64 {
        let config = &self.bert.config;
        let (h, f, l) =
            (config.hidden_size as f64, config.intermediate_size as f64, config.num_hidden_layers as f64);
        let tokens = self.batch * self.length;
        2.0 * tokens as f64 * l * (4.0 * h * h + 2.0 * h * f) + 4.0 * (tokens * self.length) as f64 * h * l
    }

    /// Every other head and every other FFN.
    pub fn half(&self) -> Vec<LayerShape> {
        let heads = (0..self.bert.config.num_attention_heads).step_by(2).collect::<Vec<_>>();
        let layer = |l: usize| LayerShape { heads: heads.clone(), ffn: l.is_multiple_of(2) };
        (0..self.bert.config.num_hidden_layers).map(layer).collect()
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
