//! A baseline that knows words but not their order: a linear model on the mean of a sentence's word embeddings, the
//! "CBoW" of Wang et al. 2019 (GLUE) with the embeddings of the pre-trained model itself.

use super::Dataset;
use crate::{
    ops::rng::{Purpose, Stream},
    task::{Label, TaskSpec},
    text::{Encoded, SpecialIds},
};

/// What is fitted on at most this many training examples, which the seed chooses.
pub const MOST_EXAMPLES: usize = 10_000;

const EPOCHS: u32 = 10;
const BATCH: usize = 32;
/// Of Adam (β 0.9 and 0.999), falling to 0 linearly.
const LEARNING_RATE: f64 = 3e-4;
/// Decoupled; not for biases.
const WEIGHT_DECAY: f64 = 3.0;

/// Word embeddings, and where sentences begin and end.
pub struct Words {
    /// (V, H)
    pub table: Vec<f32>,
    /// H
    pub width: usize,
    pub special: SpecialIds,
}

/// A linear model of (labels) outputs on standardised features.
pub struct BagOfWords<'a> {
    words: &'a Words,
    pairs: bool,
    /// Of each feature, over the training examples.
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    outputs: Vec<Output>,
    /// Of the scores of a regression.
    scores: [f64; 2],
}

/// One output's weights, bias last, with Adam's moments.
#[derive(Clone)]
struct Output {
    weights: Vec<f32>,
    moments: [Vec<f32>; 2],
    gradient: Vec<f32>,
}

impl Words {
    /// The mean embedding of each sentence of an example, H numbers each; zeros for one without a word.
    fn sentences(&self, example: &Encoded) -> Vec<Vec<f32>> {
        let SpecialIds { cls, sep, .. } = self.special;
        // [CLS] a [SEP], [CLS] a [SEP] b [SEP] or <s> a </s></s> b </s>: a is the second part, b the last but one.
        let parts: Vec<&[u32]> = example.ids.split(|id| [cls, sep].contains(id)).collect();
        let first = parts.get(1).copied().unwrap_or_default();
        let second = (parts.len() > 3).then(|| parts[parts.len() - 2]);
        [Some(first), second].into_iter().flatten().map(|ids| self.mean(ids)).collect()
    }

    fn mean(&self, ids: &[u32]) -> Vec<f32> {
        let mut mean = vec![0.0; self.width];
        for id in ids {
            let row = self.table[*id as usize * self.width..].iter().take(self.width);
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= ids.len().max(1) as f32);
        mean
    }

    /// u, or (u, v, |u − v|, u ⊙ v) of a pair.
    fn features(&self, example: &Encoded, pairs: bool) -> Vec<f32> {
        let mut sentences = self.sentences(example).into_iter();
        let [u, v] = [(); 2].map(|()| sentences.next());
        let u = u.unwrap_or_default();
        if !pairs {
            return u;
        }
        let v = v.unwrap_or_else(|| vec![0.0; self.width]);
        let both = || u.iter().zip(&v);
        let (apart, product): (Vec<f32>, Vec<f32>) = both().map(|(u, v)| ((u - v).abs(), u * v)).unzip();
        [u.clone(), v.clone(), apart, product].concat()
    }
}

impl<'a> BagOfWords<'a> {
    /// Fits by Adam on cross-entropy, or on the squared error of standardised scores. One thread, in a fixed order: equal
    /// for equal seeds.
    pub fn fit(words: &'a Words, task: &TaskSpec, data: &Dataset, seed: u64) -> Self {
        let pairs = data.encoded.first().is_some_and(|example| words.sentences(example).len() > 1);
        let examples: Vec<Vec<f32>> = data.encoded.iter().map(|e| words.features(e, pairs)).collect();
        let width = examples.first().map_or(0, Vec::len);
        let mut model = Self {
            words,
            pairs,
            mean: vec![0.0; width],
            inverse_deviation: vec![1.0; width],
            outputs: vec![Output::new(width + 1); task.num_labels()],
            scores: [0.0, 1.0],
        };
        model.standardise(&examples, &data.labels);
        let examples: Vec<Vec<f32>> = examples.iter().map(|example| model.standard(example)).collect();
        let steps = f64::from(EPOCHS) * examples.len().div_ceil(BATCH) as f64;
        let mut step = 0;
        for epoch in 0..EPOCHS {
            let mut order: Vec<usize> = (0..examples.len()).collect();
            Stream::with(seed, Purpose::DataOrder, epoch, 1).shuffle(&mut order);
            for batch in order.chunks(BATCH) {
                for at in batch {
                    model.add_gradient(&examples[*at], data.labels[*at], 1.0 / batch.len() as f64);
                }
                step += 1;
                let rate = LEARNING_RATE * (1.0 - f64::from(step - 1) / steps);
                model.outputs.iter_mut().for_each(|output| output.step(rate, step));
            }
        }
        model
    }

    fn standardise(&mut self, examples: &[Vec<f32>], labels: &[Label]) {
        let n = examples.len().max(1) as f64;
        for feature in 0..self.mean.len() {
            let values = || examples.iter().map(|example| f64::from(example[feature]));
            let [mean, deviation] = moments(values, n);
            (self.mean[feature], self.inverse_deviation[feature]) = (mean as f32, (1.0 / deviation) as f32);
        }
        if self.outputs.len() == 1 {
            self.scores = moments(|| labels.iter().map(|label| f64::from(label.value())), n);
        }
    }

    /// Standardised, and a 1 for the bias.
    fn standard(&self, features: &[f32]) -> Vec<f32> {
        let scale = self.mean.iter().zip(&self.inverse_deviation);
        let scaled = features.iter().zip(scale).map(|(value, (mean, inverse))| (value - mean) * inverse);
        scaled.chain([1.0]).collect()
    }

    fn add_gradient(&mut self, example: &[f32], label: Label, share: f64) {
        let logits: Vec<f64> = self.outputs.iter().map(|output| dot(&output.weights, example)).collect();
        let [mean, deviation] = self.scores;
        let errors: Vec<f64> = match label.class() {
            Some(class) => {
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
                let error = |(n, logit): (usize, &f64)| {
                    (logit - most).exp() / sum - f64::from(u8::from(n == class as usize))
                };
                logits.iter().enumerate().map(error).collect()
            }
            None => logits.iter().map(|y| y - (f64::from(label.value()) - mean) / deviation).collect(),
        };
        for (output, error) in self.outputs.iter_mut().zip(errors) {
            let error = (error * share) as f32;
            output.gradient.iter_mut().zip(example).for_each(|(gradient, x)| *gradient += error * x);
        }
    }

    /// (examples, labels)
    pub fn logits(&self, data: &Dataset) -> Vec<f32> {
        let [mean, deviation] = self.scores;
        let of = |example: &Encoded| -> Vec<f32> {
            let features = self.standard(&self.words.features(example, self.pairs));
            let logit = |output: &Output| (mean + deviation * dot(&output.weights, &features)) as f32;
            self.outputs.iter().map(logit).collect()
        };
        data.encoded.iter().flat_map(of).collect()
    }
}

impl Output {
    fn new(width: usize) -> Self {
        let zeros = || vec![0.0; width];
        Self { weights: zeros(), moments: [zeros(), zeros()], gradient: zeros() }
    }

    fn step(&mut self, rate: f64, step: i32) {
        let [unbiased_m, unbiased_v] = [0.9_f64, 0.999].map(|beta| 1.0 - beta.powi(step));
        let (bias, decay) = (self.weights.len() - 1, (1.0 - rate * WEIGHT_DECAY) as f32);
        let [m, v] = &mut self.moments;
        let state = self.weights.iter_mut().zip(&mut self.gradient).zip(m.iter_mut().zip(v));
        for (at, ((weight, gradient), (m, v))) in state.enumerate() {
            let g = std::mem::take(gradient);
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let update = (*m / unbiased_m as f32) / ((*v / unbiased_v as f32).sqrt() + 1e-8);
            *weight = if at == bias { *weight } else { *weight * decay } - rate as f32 * update;
        }
    }
}

/// Mean and deviation; a deviation of 1 where all values are equal.
fn moments<I: Iterator<Item = f64>>(values: impl Fn() -> I, n: f64) -> [f64; 2] {
    let mean = values().sum::<f64>() / n;
    let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    [mean, if deviation > 1e-12 { deviation } else { 1.0 }]
}

/// In a fixed order whatever the processor: the same on every machine.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f32; 16];
    let (a, rest_a) = a.as_chunks::<16>();
    let (b, rest_b) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    let rest = rest_a.iter().zip(rest_b).map(|(a, b)| a * b);
    lanes.into_iter().chain(rest).map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{self, TaskId};

    const SPECIAL: SpecialIds = SpecialIds { pad: Some(0), unk: 1, cls: 2, sep: 3, mask: None };

    fn words(width: usize) -> Words {
        let mut draw = Stream::new(5, Purpose::Split, 9);
        Words { table: (0..40 * width).map(|_| draw.normal() as f32).collect(), width, special: SPECIAL }
    }

    fn example(sentences: &[&[u32]]) -> Encoded {
        let ids: Vec<u32> = [&[2][..]]
            .into_iter()
            .chain(sentences.iter().flat_map(|s| [*s, &[3]]))
            .flatten()
            .copied()
            .collect();
        Encoded { segments: vec![0; ids.len()], ids }
    }

    fn dataset(count: u32, of: impl Fn(&mut Stream) -> (Encoded, Label)) -> Dataset {
        let (encoded, labels) = (0..count).map(|n| of(&mut Stream::new(1, Purpose::Split, n))).unzip();
        Dataset { encoded, labels, ..Dataset::default() }
    }

    /// Four words; the label is whether more of them are below 20 than not, ties left to the first.
    fn by_words(draw: &mut Stream) -> (Encoded, Label) {
        let ids = [(); 5].map(|()| 4 + draw.below(36));
        let low = ids.iter().filter(|id| **id < 22).count();
        (example(&[&ids]), Label::Class(u32::from(low > 2)))
    }

    #[test]
    fn features_are_means_of_word_embeddings_and_of_a_pair_how_they_differ() {
        let words = Words { table: (0..20).map(|v| v as f32).collect(), width: 2, special: SPECIAL };
        let (u, v) = (words.mean(&[4, 6]), words.mean(&[5]));
        assert_eq!((&u[..], &v[..]), (&[10.0, 11.0][..], &[10.0, 11.0][..]));
        let single = example(&[&[4, 6]]);
        assert_eq!(words.features(&single, false), u);
        let roberta = Encoded { ids: vec![2, 4, 6, 3, 3, 7, 3], segments: vec![0; 7] };
        for pair in [example(&[&[4, 6], &[7]]), roberta] {
            assert_eq!(words.features(&pair, true), [10., 11., 14., 15., 4., 4., 140., 165.]);
        }
        assert_eq!(words.features(&example(&[&[], &[7]]), true)[..4], [0., 0., 14., 15.]);
    }

    #[test]
    fn what_words_decide_is_learnt_and_the_same_seed_gives_the_same_model() {
        let (words, task) = (words(64), TaskId::Sst2.spec());
        let (train, dev) =
            (dataset(2000, by_words), dataset(2400, by_words).subset(&(2000..2400).collect::<Vec<_>>()));
        let fit = |seed| BagOfWords::fit(&words, task, &train, seed).logits(&dev);
        let logits = fit(7);
        let accuracy = task::evaluate(task, &logits, &dev.labels)["accuracy"];
        assert!(accuracy > 0.8, "{accuracy}");
        assert_eq!(logits, fit(7));
        assert_ne!(logits, fit(8));
    }

    #[test]
    fn the_order_of_words_is_not_seen_and_scores_are_in_their_own_units() {
        let (words, task) = (words(16), TaskId::Stsb.spec());
        let pair = |draw: &mut Stream| {
            let shared = draw.below(5);
            let word = |draw: &mut Stream| 4 + draw.below(36);
            let first = [(); 4].map(|()| word(draw));
            let mut second = first;
            second.iter_mut().skip(shared as usize).for_each(|id| *id = word(draw));
            (example(&[&first, &second]), Label::Score(shared as f32 * 1.25))
        };
        let (train, dev) =
            (dataset(3000, pair), dataset(3400, pair).subset(&(3000..3400).collect::<Vec<_>>()));
        let model = BagOfWords::fit(&words, task, &train, 1);
        let logits = model.logits(&dev);
        let pearson = task::evaluate(task, &logits, &dev.labels)["pearson"];
        let mean = logits.iter().sum::<f32>() / logits.len() as f32;
        assert!(pearson > 0.6 && (mean - 2.5).abs() < 0.3, "{pearson}, mean {mean}");
        let turned = |example: &Encoded| {
            let mut ids = example.ids.clone();
            ids[1..5].reverse();
            Encoded { ids, ..example.clone() }
        };
        let reversed = Dataset { encoded: dev.encoded.iter().map(turned).collect(), ..dev.clone() };
        let differences = model.logits(&reversed).into_iter().zip(&logits).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f32::max) < 1e-3);
    }
}
