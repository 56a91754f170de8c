//! Random models and batches, and comparisons.

use lottery::{
    model::{Bert, BertConfig, Head, Input, LayerShape, Pass, Wanted, Workspace},
    ops::{
        loss::{self, Targets},
        rng::{Purpose, Stream},
    },
};

pub fn stream(seed: u64) -> Stream {
    Stream::new(seed, Purpose::Split, 99)
}

/// A small vocabulary and position table around the given shape.
pub fn config(layers: usize, hidden: usize, heads: usize, ffn: usize) -> BertConfig {
    BertConfig {
        vocab_size: 61,
        max_position_embeddings: 160,
        ..BertConfig::of_shape(layers, hidden, heads, ffn)
    }
}

/// Weights large enough that every tensor matters, biases and LayerNorms included.
pub fn random_bert(config: BertConfig, shape: Vec<LayerShape>, labels: usize, seed: u64) -> Bert {
    random_bert_with(config, shape, Head::Classifier { labels }, seed)
}

/// The same with any head.
pub fn random_bert_with(config: BertConfig, shape: Vec<LayerShape>, head: Head, seed: u64) -> Bert {
    let mut bert = Bert::zeros(config, shape, head);
    let mut draw = stream(seed);
    for entry in &bert.params.layout.entries {
        let (centre, deviation) = match entry.shape[..] {
            [_] if entry.name.to_lowercase().ends_with("norm.weight") => (1.0, 0.2),
            [_] => (0.0, 0.2),
            // A table's rows, or a matrix whose product keeps the size of its input.
            _ if entry.name.contains("embeddings") => (0.0, 0.6),
            _ => (0.0, 1.0 / (entry.shape[1] as f64).sqrt()),
        };
        let values = &mut bert.params.data[entry.range.clone()];
        values.iter_mut().for_each(|v| *v = draw.normal().mul_add(deviation, centre) as f32);
    }
    bert
}

/// Sequences packed one behind another, with a label and a score for each.
#[derive(Clone)]
pub struct Packed {
    pub ids: Vec<u32>,
    pub positions: Vec<u32>,
    pub segments: Vec<u32>,
    pub offsets: Vec<usize>,
    pub classes: Vec<u32>,
    pub scores: Vec<f32>,
    /// Of each sequence the first and the last token of an answer.
    pub starts: Vec<u32>,
    pub ends: Vec<u32>,
    /// Rows that a masked-LM head reads, ascending, and the word that each of them hides.
    pub masked: Vec<usize>,
    pub words: Vec<u32>,
}

impl Packed {
    pub fn random(config: &BertConfig, lengths: &[usize], labels: usize, seed: u64) -> Self {
        let mut draw = stream(seed);
        let mut packed = Self::empty();
        for &length in lengths {
            let cut = draw.below(length as u32 + 1);
            let begin = packed.ids.len();
            for position in 0..length as u32 {
                packed.ids.push(draw.below(config.vocab_size as u32));
                packed.positions.push(position);
                packed.segments.push(u32::from(position >= cut));
            }
            packed.offsets.push(packed.ids.len());
            packed.classes.push(draw.below(labels as u32));
            packed.scores.push(draw.uniform() as f32 * 5.0);
            packed.starts.push(length as u32 / 3);
            packed.ends.push(length as u32 / 2);
            // At least one row of every sequence, sometimes all.
            let sure = draw.below(length as u32) as usize;
            for row in 0..length {
                if row == sure || draw.below(4) == 0 {
                    packed.masked.push(begin + row);
                    packed.words.push(draw.below(config.vocab_size as u32));
                }
            }
        }
        packed
    }

    pub fn empty() -> Self {
        Self {
            ids: vec![],
            positions: vec![],
            segments: vec![],
            offsets: vec![0],
            classes: vec![],
            scores: vec![],
            starts: vec![],
            ends: vec![],
            masked: vec![],
            words: vec![],
        }
    }

    pub fn input(&self) -> Input<'_> {
        Input { ids: &self.ids, positions: &self.positions, segments: &self.segments, offsets: &self.offsets }
    }

    /// Cross-entropy for a model of several labels, squared error for one of one.
    pub fn targets(&self, labels: usize) -> Targets<'_> {
        if labels == 1 { Targets::Scores(&self.scores) } else { Targets::Classes(&self.classes) }
    }

    pub fn spans(&self) -> Targets<'_> {
        Targets::Spans { offsets: &self.offsets, starts: &self.starts, ends: &self.ends }
    }

    /// What this model's head is to find, unless that is words.
    pub fn targets_of(&self, bert: &Bert) -> Targets<'_> {
        if bert.head == Head::Spans { self.spans() } else { self.targets(bert.labels()) }
    }

    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// One sequence alone.
    pub fn alone(&self, s: usize) -> Self {
        let at = self.offsets[s]..self.offsets[s + 1];
        Self {
            ids: self.ids[at.clone()].to_vec(),
            positions: self.positions[at.clone()].to_vec(),
            segments: self.segments[at.clone()].to_vec(),
            offsets: vec![0, at.len()],
            classes: vec![self.classes[s]],
            scores: vec![self.scores[s]],
            starts: vec![self.starts[s]],
            ends: vec![self.ends[s]],
            masked: vec![],
            words: vec![],
        }
    }
}

pub fn logits(bert: &Bert, packed: &Packed, pass: &Pass) -> Vec<f32> {
    let mut workspace = Workspace::default();
    bert.forward(&packed.input(), pass, &mut workspace);
    workspace.logits().to_vec()
}

/// Loss and gradient of the mean over the batch; `workspace` may come from another batch.
pub fn train_pass(bert: &Bert, packed: &Packed, pass: &Pass, workspace: &mut Workspace) -> (f64, Vec<f32>) {
    let pass = Pass { keep: true, ..*pass };
    bert.forward(&packed.input(), &pass, workspace);
    let mut d_logits = vec![0.0; workspace.logits().len()];
    let loss = loss::mean(workspace.logits(), packed.targets_of(bert), &mut d_logits);
    let mut gradient = vec![0.0; bert.params.layout.len];
    bert.backward(&packed.input(), &pass, workspace, &d_logits, Wanted::Weights(&mut gradient));
    (loss, gradient)
}

/// [`train_pass`] of a masked-LM model.
pub fn masked_pass(bert: &Bert, packed: &Packed, pass: &Pass, workspace: &mut Workspace) -> (f64, Vec<f32>) {
    let pass = Pass { keep: true, ..*pass };
    bert.forward_masked(&packed.input(), &packed.masked, &pass, workspace);
    let predictions = loss::words(workspace.masked_logits(), &packed.words);
    let mut gradient = vec![0.0; bert.params.layout.len];
    bert.backward_masked(&packed.input(), &pass, workspace, Wanted::Weights(&mut gradient));
    (predictions.iter().map(|p| p.loss).sum::<f64>() / predictions.len() as f64, gradient)
}

pub fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// ‖a - b‖
pub fn distance(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    norm(&a.iter().zip(b).map(|(a, b)| f64::from(*a) - b).collect::<Vec<_>>())
}

#[track_caller]
pub fn assert_close(a: &[f32], b: &[f32], tolerance: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        // Written so that a NaN fails.
        assert!((a - b).abs() <= tolerance, "{what}, element {i}: {a} and {b}");
    }
}
