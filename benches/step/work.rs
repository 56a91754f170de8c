//! What is measured: a BERT of some shape on a batch.

use lottery::{
    error::Result,
    model::{Bert, BertConfig, Head, Input, LayerShape},
    ops::{
        WeightMask,
        loss::Targets,
        rng::{Purpose, Stream},
    },
    task::{self, TaskId},
    text::{Batch, Encoded, Tokenizer},
    train::dataset::input,
};
use std::{path::Path, time::Instant};

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
    config: BertConfig,
    batch: Batch,
    classes: Vec<u32>,
}

/// A batch of the task's training examples, drawn at random.
pub fn examples(task: &str, data: &Path, tokenizer: &Path, batch: usize, longest: usize) -> Batch {
    let read = || -> Result<Batch> {
        let data = task::load(task.parse::<TaskId>()?.spec(), data)?;
        let encoded = Tokenizer::from_folder(tokenizer)?.encode_all(&data.train, longest)?;
        let mut order: Vec<usize> = (0..encoded.len()).collect();
        Stream::new(1, Purpose::DataOrder, 0).shuffle(&mut order);
        Ok(Batch::pack(&encoded, &order[..batch]))
    };
    read().unwrap_or_else(|e| panic!("{e}"))
}

impl Work {
    /// Random words in sequences of one length.
    pub fn random(shape: &Shape, batch: usize, length: usize) -> Self {
        let mut stream = Stream::new(1, Purpose::Split, 0);
        let mut sequence =
            || Encoded { ids: (0..length).map(|_| stream.below(30522)).collect(), segments: vec![0; length] };
        let encoded: Vec<Encoded> = (0..batch).map(|_| sequence()).collect();
        Self::of_examples(shape, &Batch::pack(&encoded, &(0..batch).collect::<Vec<_>>()))
    }

    pub fn of_examples(&(name, layers, hidden, heads, ffn): &Shape, batch: &Batch) -> Self {
        let config = BertConfig::of_shape(layers, hidden, heads, ffn);
        let mut stream = Stream::new(2, Purpose::Split, 0);
        Self {
            name,
            config,
            batch: batch.clone(),
            classes: (0..batch.len()).map(|_| stream.below(2)).collect(),
        }
    }

    /// With random weights.
    pub fn model(&self) -> Bert {
        Bert::random(self.config.clone(), Head::Classifier { labels: 2 }, 0)
    }

    /// B × mean length.
    pub fn size(&self) -> String {
        let mean = self.tokens() as f64 / self.batch.len() as f64;
        format!("{}x{}", self.batch.len(), (mean * 10.0).round() / 10.0)
    }

    pub fn sequences(&self) -> usize {
        self.batch.len()
    }

    pub fn tokens(&self) -> usize {
        self.batch.tokens()
    }

    pub fn input(&self) -> Input<'_> {
        input(&self.batch)
    }

    pub fn targets(&self) -> Targets<'_> {
        Targets::Classes(&self.classes)
    }

    /// Floating-point operations of a forward pass as it is computed: the last layer's queries, and all that follows
    /// them, for first tokens alone.
    pub fn flop(&self) -> f64 {
        let config = &self.config;
        let (h, f) = (config.hidden_size as f64, config.intermediate_size as f64);
        let (all, first) = (self.tokens() as f64, self.sequences() as f64);
        let pairs: usize = self.batch.offsets.windows(2).map(|at| (at[1] - at[0]).pow(2)).sum();
        // Keys and values of every token; queries, output and FFN of the rows; scores and context of the pairs.
        let layer = |rows: f64, pairs: f64| {
            2.0 * (all * 2.0 * h * h + rows * (2.0 * h * h + 2.0 * h * f)) + 4.0 * pairs * h
        };
        (config.num_hidden_layers as f64 - 1.0) * layer(all, pairs as f64) + layer(first, all)
    }

    /// Seven of ten weights are held at zero, drawn one by one: as in the tickets of Chen et al. (2020) at 70 %.
    pub fn held(&self, bert: &Bert) -> WeightMask {
        let mut stream = Stream::new(3, Purpose::Split, 0);
        let len = bert.params.data.len();
        let mut mask = WeightMask::all_kept(len);
        mask.set(0..len, (0..len).map(|_| stream.below(10) >= 7));
        mask
    }

    /// Every other head and every other FFN.
    pub fn half(&self) -> Vec<LayerShape> {
        let heads = (0..self.config.num_attention_heads).step_by(2).collect::<Vec<_>>();
        let layer = |l: usize| LayerShape { heads: heads.clone(), ffn: l.is_multiple_of(2).into() };
        (0..self.config.num_hidden_layers).map(layer).collect()
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The most memory that this process has had, in MiB.
pub fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
