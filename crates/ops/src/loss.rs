//! Losses with their gradients: cross-entropy over classes, words or the tokens of a sequence, mean squared error over
//! scores.

use super::simd::{exp, max};
use crate::dispatch;
use rayon::prelude::*;

/// What the logits are compared with.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// One class number per example; logits (B, C).
    Classes(&'a [u32]),
    /// One score per example; logits (B, 1).
    Scores(&'a [f32]),
    /// For each example the first and the last token of an answer, counted within the sequence; logits (T, 2) of all tokens,
    /// sequences beginning at `offsets` (B + 1).
    Spans { offsets: &'a [usize], starts: &'a [u32], ends: &'a [u32] },
}

/// The loss of every example, and d loss_x / d logits_x of that example's own loss (not divided by the batch).
pub fn per_example(logits: &[f32], targets: Targets, d_logits: &mut [f32]) -> Vec<f64> {
    match targets {
        Targets::Classes(classes) => {
            let c = logits.len() / classes.len().max(1);
            let rows = logits.chunks_exact(c.max(1)).zip(d_logits.chunks_exact_mut(c.max(1))).zip(classes);
            rows.map(|((x, d), class)| cross_entropy(x, *class as usize, d)).collect()
        }
        Targets::Scores(scores) => logits
            .iter()
            .zip(d_logits)
            .zip(scores)
            .map(|((x, d), score)| {
                let difference = f64::from(*x) - f64::from(*score);
                *d = (2.0 * difference) as f32;
                difference.powi(2)
            })
            .collect(),
        Targets::Spans { offsets, starts, ends } => offsets
            .windows(2)
            .zip(starts.iter().zip(ends))
            .map(|(at, (start, end))| {
                let at = 2 * at[0]..2 * at[1];
                span(&logits[at.clone()], [*start, *end], &mut d_logits[at])
            })
            .collect(),
    }
}

/// -ln softmax(x)[class], with d = softmax(x) - onehot(class).
fn cross_entropy(x: &[f32], class: usize, d: &mut [f32]) -> f64 {
    let peak = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = x.iter().map(|v| f64::from(v - peak).exp()).sum();
    for (j, (d, v)) in d.iter_mut().zip(x).enumerate() {
        let p = f64::from(v - peak).exp() / total;
        *d = (p - f64::from(u8::from(j == class))) as f32;
    }
    total.ln() - f64::from(x[class] - peak)
}

/// The mean of two cross-entropies over a sequence's own tokens: where its answer starts, and where it ends. transformers
/// averages the same two numbers, but their softmax also runs over the padding's logits.
fn span(logits: &[f32], targets: [u32; 2], d_logits: &mut [f32]) -> f64 {
    let of_column = |(column, target): (usize, u32)| {
        let x: Vec<f32> = logits.iter().skip(column).step_by(2).copied().collect();
        let mut d = vec![0.0; x.len()];
        let loss = cross_entropy(&x, target as usize, &mut d);
        d_logits.iter_mut().skip(column).step_by(2).zip(d).for_each(|(to, d)| *to = d / 2.0);
        loss / 2.0
    };
    [(0, targets[0]), (1, targets[1])].map(of_column).iter().sum()
}

/// The batch's mean loss; `d_logits` receives its gradient.
pub fn mean(logits: &[f32], targets: Targets, d_logits: &mut [f32]) -> f64 {
    let losses = per_example(logits, targets, d_logits);
    let n = losses.len() as f64;
    d_logits.iter_mut().for_each(|d| *d /= n as f32);
    losses.iter().sum::<f64>() / n
}

/// How well one masked token was predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// -ln p(word), in nats
    pub loss: f64,
    /// Whether no word is likelier.
    pub correct: bool,
}

impl Prediction {
    /// In nats; not a number of none.
    pub fn mean_loss(found: &[Self]) -> f64 {
        found.iter().map(|p| p.loss).sum::<f64>() / found.len() as f64
    }
}

dispatch! {
    /// x (V) becomes scale · (softmax(x) - onehot(word)).
    fn word_row(x: &mut [f32], word: usize, scale: f32) -> Prediction {
        let peak = max(x);
        let at_word = x[word] - peak;
        // In f64, in lanes: V may be 30 000 and more.
        let mut lanes = [0f64; 8];
        for block in x.chunks_mut(8) {
            for (v, lane) in block.iter_mut().zip(&mut lanes) {
                *v = exp(*v - peak);
                *lane += f64::from(*v);
            }
        }
        let total: f64 = lanes.iter().sum();
        let factor = (f64::from(scale) / total) as f32;
        for v in x.iter_mut() { *v *= factor; }
        x[word] -= scale;
        Prediction { loss: total.ln() - f64::from(at_word), correct: at_word >= 0.0 }
    }
}

/// Cross-entropy over a vocabulary: logits (M, V) become the gradient of their mean loss, in place.
///
/// # Panics
/// If a word is not in the vocabulary.
pub fn words(logits: &mut [f32], words: &[u32]) -> Vec<Prediction> {
    let v = logits.len() / words.len().max(1);
    let scale = 1.0 / words.len() as f32;
    let rows = logits.par_chunks_mut(v.max(1)).zip(words);
    rows.map(|(x, word)| word_row(x, *word as usize, scale)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_over_words_is_the_loss_over_classes() {
        let (m, v) = (7, 1003);
        let numbers = |seed: u32| (0..m * v).map(move |i| ((i as u32 * 7919 + seed) % 4099) as f32 / 300.0);
        let classes: Vec<u32> = (0..m as u32).map(|i| i * 151 % v as u32).collect();
        let logits: Vec<f32> = numbers(5).collect();
        let mut expected = vec![0.0; m * v];
        let losses = per_example(&logits, Targets::Classes(&classes), &mut expected);
        let mut found = logits.clone();
        let predictions = words(&mut found, &classes);
        for (a, b) in found.iter().zip(&expected) {
            assert!((a * m as f32 - b).abs() < 1e-6, "{a} {b}");
        }
        for (i, (p, loss)) in predictions.iter().zip(losses).enumerate() {
            assert!((p.loss - loss).abs() < 1e-5, "{} {loss}", p.loss);
            let row = &logits[i * v..(i + 1) * v];
            assert_eq!(p.correct, row.iter().all(|x| *x <= row[classes[i] as usize]));
        }
        assert!(predictions.iter().any(|p| !p.correct));
        let mut sure = vec![0.0; v];
        sure[9] = 50.0;
        let [one] = words(&mut sure, &[9])[..] else { panic!() };
        assert!(one.correct && one.loss.abs() < 1e-6);
        let mut nan = vec![f32::NAN; 3];
        assert!(words(&mut nan, &[0])[0].loss.is_nan());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let classes = [2u32, 0];
        let scores = [1.5f32, -2.0];
        let spans = Targets::Spans { offsets: &[0, 3, 4], starts: &[2, 0], ends: &[1, 0] };
        let cases: [(Vec<f32>, Targets); 3] = [
            (vec![0.3, -0.9, 0.2, 1.5, -0.1, 0.4], Targets::Classes(&classes)),
            (vec![0.5, 0.25], Targets::Scores(&scores)),
            (vec![0.3, -0.9, 0.2, 1.5, -0.1, 0.4, 2.0, -3.0], spans),
        ];
        for (mut x, targets) in cases {
            let mut d = vec![0.0; x.len()];
            mean(&x, targets, &mut d);
            let mut unused = d.clone();
            for i in 0..x.len() {
                let old = x[i];
                let (up, down) = (old + 1e-2, old - 1e-2);
                x[i] = up;
                let high = mean(&x, targets, &mut unused);
                x[i] = down;
                let low = mean(&x, targets, &mut unused);
                x[i] = old;
                let slope = (high - low) / (f64::from(up) - f64::from(down));
                assert!((slope - f64::from(d[i])).abs() < 1e-4, "{slope} {}", d[i]);
            }
        }
    }

    #[test]
    fn a_cross_entropy_of_large_logits_is_finite_and_of_nan_is_nan() {
        let mut d = [0.0; 2];
        assert!((mean(&[1000.0, 0.0], Targets::Classes(&[1]), &mut d) - 1000.0).abs() < 1e-6);
        assert!(mean(&[f32::NAN, 0.0], Targets::Classes(&[0]), &mut d).is_nan());
    }
}
