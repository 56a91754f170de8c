//! What a stage answered for each development example, and its score on any choice of them.

use super::run::{Run, gone};
use crate::{
    error::Result,
    experiment::stages::PREDICTIONS,
    store::Done,
    task::{MetricId, Predictions, compute},
};
use serde::Deserialize;

/// A line of `predictions.jsonl`. Of questions the answers are texts, and each has its scores; of masked words it is a block.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    label: serde_json::Value,
    #[serde(default)]
    prediction: serde_json::Value,
    exact_match: Option<f64>,
    f1: Option<f64>,
    #[serde(flatten)]
    block: Option<Block>,
}

/// The hidden words of a block.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Block {
    hidden: f64,
    found: f64,
    /// Its mean over the hidden words.
    loss: f64,
}

/// The answers of one model.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    Classes {
        predicted: Vec<u32>,
        labels: Vec<u32>,
    },
    Scores {
        predicted: Vec<f32>,
        labels: Vec<f32>,
    },
    /// The score of each answer.
    Graded(Vec<f64>),
    Blocks(Vec<Block>),
}

impl Answers {
    /// Those of the full, pruned or retrained model of a run (a place in `PARTS`).
    ///
    /// # Errors
    /// Data: the stage is not in the store, or its predictions are damaged.
    pub fn read(run: &Run, part: usize) -> Result<Self> {
        let stage = run.evaluated(part).ok_or_else(|| gone(run, "a stage"))?;
        let done: Done = run.open()?.stage(&stage).load()?.ok_or_else(|| gone(run, "the stage"))?;
        let bytes = done.read(PREDICTIONS)?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines: std::result::Result<Vec<Line>, _> = lines.map(serde_json::from_slice).collect();
        let lines =
            lines.map_err(|e| done.damaged(PREDICTIONS, &format!("has a line of another kind ({e})")))?;
        Self::of(&lines, &run.metric)
            .ok_or_else(|| done.damaged(PREDICTIONS, "has labels and predictions of different kinds"))
    }

    fn of(lines: &[Line], metric: &str) -> Option<Self> {
        let first = lines.first()?;
        if first.block.is_some() {
            return lines.iter().map(|line| line.block).collect::<Option<_>>().map(Self::Blocks);
        }
        if first.exact_match.is_some() {
            let own = |line: &Line| if metric == "exact_match" { line.exact_match } else { line.f1 };
            return lines.iter().map(own).collect::<Option<_>>().map(Self::Graded);
        }
        if first.prediction.is_u64() {
            let class =
                |value: &serde_json::Value| value.as_u64().and_then(|class| u32::try_from(class).ok());
            let predicted = lines.iter().map(|line| class(&line.prediction)).collect::<Option<_>>()?;
            return Some(Self::Classes {
                predicted,
                labels: lines.iter().map(|line| class(&line.label)).collect::<Option<_>>()?,
            });
        }
        let score = |value: &serde_json::Value| value.as_f64().map(|score| score as f32);
        let predicted = lines.iter().map(|line| score(&line.prediction)).collect::<Option<_>>()?;
        Some(Self::Scores {
            predicted,
            labels: lines.iter().map(|line| score(&line.label)).collect::<Option<_>>()?,
        })
    }

    /// How many examples it answered.
    pub fn examples(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Scores { labels, .. } => labels.len(),
            Self::Graded(scores) => scores.len(),
            Self::Blocks(blocks) => blocks.len(),
        }
    }

    /// Whether both are about the same examples, as far as labels tell.
    pub fn is_of_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Classes { labels: a, .. }, Self::Classes { labels: b, .. }) => a == b,
            (Self::Scores { labels: a, .. }, Self::Scores { labels: b, .. }) => a == b,
            (Self::Graded(a), Self::Graded(b)) => a.len() == b.len(),
            (Self::Blocks(a), Self::Blocks(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.hidden == b.hidden)
            }
            _ => false,
        }
    }

    /// Whether each answer is right; none of scores.
    pub fn right(&self) -> Option<Vec<bool>> {
        match self {
            Self::Classes { predicted, labels } => {
                Some(predicted.iter().zip(labels).map(|(p, l)| p == l).collect())
            }
            Self::Scores { .. } | Self::Blocks(_) => None,
            Self::Graded(scores) => Some(scores.iter().map(|score| *score >= 1.0).collect()),
        }
    }

    /// The metric of this name over these examples, each counted as often as it is chosen.
    pub fn score(&self, metric: &str, chosen: &[u32]) -> f64 {
        let metric = MetricId::ALL.into_iter().find(|id| id.name() == metric).unwrap_or(MetricId::Accuracy);
        fn take<T: Copy>(from: &[T], chosen: &[u32]) -> Vec<T> {
            chosen.iter().map(|at| from[*at as usize]).collect()
        }
        match self {
            Self::Classes { predicted, labels } => {
                let (predicted, labels) = (take(predicted, chosen), take(labels, chosen));
                compute(metric, &Predictions::Classes { predicted: &predicted, labels: &labels })
            }
            Self::Scores { predicted, labels } => {
                let (predicted, labels) = (take(predicted, chosen), take(labels, chosen));
                compute(metric, &Predictions::Scores { predicted: &predicted, labels: &labels })
            }
            Self::Graded(scores) => super::statistics::mean(&take(scores, chosen)),
            Self::Blocks(blocks) => {
                let blocks = take(blocks, chosen);
                let sum = |of: &dyn Fn(&Block) -> f64| blocks.iter().map(of).sum::<f64>();
                let (hidden, loss) = (sum(&|block| block.hidden), sum(&|block| block.hidden * block.loss));
                match metric {
                    MetricId::Loss => loss / hidden,
                    MetricId::Perplexity => (loss / hidden).exp(),
                    _ => sum(&|block| block.found) / hidden,
                }
            }
        }
    }
}
