//! The metrics of GLUE, equal to scikit-learn's and scipy's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A score between predictions and labels; higher is better, but for loss and perplexity, which decide nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricId {
    /// Fraction of examples whose class is predicted correctly.
    Accuracy,
    /// Harmonic mean of precision and recall of class 1; of SQuAD, of an answer's words, averaged over questions.
    F1,
    /// SQuAD: the share of questions whose answer is right word for word. With F1 it is computed by [`super::squad::Scores`].
    #[serde(rename = "exact_match")]
    ExactMatch,
    /// Matthews correlation, for any number of classes (Gorodkin 2004, eq. 8).
    Matthews,
    /// Linear correlation of scores.
    Pearson,
    /// Pearson correlation of ranks, ties averaged.
    Spearman,
    /// The mean of Pearson and Spearman.
    Corr,
    /// Masked words: the mean of -ln p(word), in nats.
    Loss,
    /// Masked words: e to the loss.
    Perplexity,
}

/// Predictions beside their labels, both of length n.
#[derive(Clone, Copy, Debug)]
pub enum Predictions<'a> {
    Classes { predicted: &'a [u32], labels: &'a [u32] },
    Scores { predicted: &'a [f32], labels: &'a [f32] },
}

impl MetricId {
    /// Those of classes and scores.
    pub const ALL: [Self; 6] =
        [Self::Accuracy, Self::F1, Self::Matthews, Self::Pearson, Self::Spearman, Self::Corr];

    /// The key in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::ExactMatch => "exact_match",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::Corr => "corr",
            Self::Loss => "loss",
            Self::Perplexity => "perplexity",
        }
    }
}

impl fmt::Display for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One metric over all examples.
///
/// A value that is undefined because predictions or labels are constant, or because class 1 is absent, is 0 as in
/// GLUE's scripts. NaN comes from a NaN among scores, from no examples at all, and from a metric of the other kind
/// (a correlation of classes, an accuracy of scores).
///
/// # Panics
/// If there are not as many predictions as labels.
pub fn compute(metric: MetricId, predictions: &Predictions) -> f64 {
    match *predictions {
        Predictions::Classes { predicted, labels } => {
            assert_eq!(predicted.len(), labels.len(), "one prediction per label");
            if predicted.is_empty() {
                return f64::NAN;
            }
            match metric {
                MetricId::Accuracy => accuracy(predicted, labels),
                MetricId::F1 => f1(predicted, labels),
                MetricId::Matthews => matthews(predicted, labels),
                _ => f64::NAN,
            }
        }
        Predictions::Scores { predicted, labels } => {
            assert_eq!(predicted.len(), labels.len(), "one prediction per label");
            if predicted.is_empty() || predicted.iter().chain(labels).any(|score| score.is_nan()) {
                return f64::NAN;
            }
            let x: Vec<f64> = predicted.iter().map(|&score| score.into()).collect();
            let y: Vec<f64> = labels.iter().map(|&score| score.into()).collect();
            match metric {
                MetricId::Pearson => pearson(&x, &y),
                MetricId::Spearman => pearson(&ranks(&x), &ranks(&y)),
                MetricId::Corr => (pearson(&x, &y) + pearson(&ranks(&x), &ranks(&y))) / 2.0,
                _ => f64::NAN,
            }
        }
    }
}

fn accuracy(predicted: &[u32], labels: &[u32]) -> f64 {
    let right = predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
    right as f64 / labels.len() as f64
}

fn f1(predicted: &[u32], labels: &[u32]) -> f64 {
    let positives = |classes: &[u32]| classes.iter().filter(|&&class| class == 1).count();
    let both = predicted.iter().zip(labels).filter(|&(&p, &l)| p == 1 && l == 1).count();
    // 2·TP / (2·TP + FP + FN)
    ratio(2.0 * both as f64, (positives(predicted) + positives(labels)) as f64)
}

fn matthews(predicted: &[u32], labels: &[u32]) -> f64 {
    let classes = predicted.iter().chain(labels).max().map_or(0, |&class| class as usize + 1);
    let mut confusion = vec![0u64; classes * classes]; // (label, predicted)
    for (&p, &l) in predicted.iter().zip(labels) {
        confusion[l as usize * classes + p as usize] += 1;
    }
    let n = labels.len() as f64;
    let (mut right, mut cross, mut labels_squared, mut predicted_squared) = (0.0, 0.0, 0.0, 0.0);
    for class in 0..classes {
        let label_count = (0..classes).map(|other| confusion[class * classes + other]).sum::<u64>() as f64;
        let predicted_count =
            (0..classes).map(|other| confusion[other * classes + class]).sum::<u64>() as f64;
        right += confusion[class * classes + class] as f64;
        cross += label_count * predicted_count;
        labels_squared += label_count * label_count;
        predicted_squared += predicted_count * predicted_count;
    }
    ratio(n * right - cross, ((n * n - predicted_squared) * (n * n - labels_squared)).sqrt())
}

fn pearson(x: &[f64], y: &[f64]) -> f64 {
    if is_constant(x) || is_constant(y) {
        return 0.0;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (&x, &y) in x.iter().zip(y) {
        let (dx, dy) = (x - mean_x, y - mean_y);
        xy += dx * dy;
        xx += dx * dx;
        yy += dy * dy;
    }
    // Rounding may carry a perfect correlation past 1; a NaN from infinite scores stays NaN.
    ratio(xy, (xx * yy).sqrt()).clamp(-1.0, 1.0)
}

fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Ranks from 1; equal values share the mean of the ranks that they cover.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    // `==` and not the total order decides a tie, so that −0 and 0 are equal.
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = below as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|&index| ranks[index] = shared);
        below += tied.len();
    }
    ranks
}

fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { 0.0 } else { numerator / denominator }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        kind: String,
        predicted: Vec<f32>,
        labels: Vec<f32>,
        expected: std::collections::BTreeMap<MetricId, Option<f64>>,
    }

    #[test]
    fn every_metric_equals_scikit_learn_and_scipy() {
        let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/metrics.json")).unwrap();
        let mut compared = 0;
        for case in &golden.cases {
            let whole = |values: &[f32]| values.iter().map(|&v| v as u32).collect::<Vec<_>>();
            let (predicted, labels) = (whole(&case.predicted), whole(&case.labels));
            let predictions = match case.kind.as_str() {
                "classes" => Predictions::Classes { predicted: &predicted, labels: &labels },
                "scores" => Predictions::Scores { predicted: &case.predicted, labels: &case.labels },
                other => panic!("unknown kind {other}"),
            };
            for (&metric, expected) in &case.expected {
                let (found, expected) = (compute(metric, &predictions), expected.unwrap_or(0.0));
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{}, {metric}: {found} instead of {expected}",
                    case.name
                );
                compared += 1;
            }
        }
        assert_eq!(golden.cases.len(), 23);
        assert!(compared >= 65, "{compared}");
    }

    #[test]
    fn nan_among_the_scores_gives_nan() {
        for (predicted, labels) in [([f32::NAN, 1.0], [1.0, 2.0]), ([1.0, 2.0], [f32::NAN, f32::NAN])] {
            for metric in [MetricId::Pearson, MetricId::Spearman, MetricId::Corr] {
                let predictions = Predictions::Scores { predicted: &predicted, labels: &labels };
                assert!(compute(metric, &predictions).is_nan());
            }
        }
    }

    #[test]
    fn no_examples_or_the_wrong_kind_gives_nan() {
        let none = Predictions::Classes { predicted: &[], labels: &[] };
        assert!(compute(MetricId::Accuracy, &none).is_nan());
        let none = Predictions::Scores { predicted: &[], labels: &[] };
        assert!(compute(MetricId::Corr, &none).is_nan());
        let classes = Predictions::Classes { predicted: &[1, 0], labels: &[1, 0] };
        assert!(compute(MetricId::Pearson, &classes).is_nan());
        let scores = Predictions::Scores { predicted: &[1.0, 0.0], labels: &[1.0, 0.0] };
        assert!(compute(MetricId::Accuracy, &scores).is_nan());
    }

    #[test]
    fn equal_values_share_the_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
    }

    #[test]
    fn a_metric_is_written_by_its_name() {
        for metric in MetricId::ALL {
            assert_eq!(serde_json::to_string(&metric).unwrap(), format!("\"{metric}\""));
        }
    }
}
