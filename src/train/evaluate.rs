//! Outputs of a model for a whole dataset, dropout off, and what they score.

use super::dataset::{BatchLabels, Dataset, input};
use crate::{
    engine::{Engine, loss_and_find},
    error::Result,
    ops::pending::{Pending, pipelined},
    task::{self, MetricId, TaskSpec, squad::Scores},
    text::Batch,
};
use std::collections::BTreeMap;

/// Sequences per batch, which only affects speed and memory.
pub const BATCH: usize = 32;

/// (sequences, labels), of the span head (tokens, 2), of masked words (words, 2) as [`loss_and_find`], in the dataset's order.
pub fn logits(engine: &mut dyn Engine, data: &Dataset) -> Result<Vec<f32>> {
    let mut out = Vec::new();
    let all: Vec<usize> = (0..data.len()).collect();
    let requests = all.chunks(BATCH).map(|indices| {
        let (batch, labels) = data.batch(indices);
        Ok(((), outputs(engine, &batch, &labels)?))
    });
    pipelined(requests, |(), logits| {
        out.extend(logits);
        Ok(())
    })?;
    Ok(out)
}

/// Those of one batch.
pub fn outputs(engine: &mut dyn Engine, batch: &Batch, labels: &BatchLabels) -> Result<Pending<Vec<f32>>> {
    match labels {
        BatchLabels::Words { rows, words } => {
            Ok(engine.predictions(&input(batch), rows, words)?.map(|found| loss_and_find(&found)))
        }
        _ => engine.logits(&input(batch), None),
    }
}

/// All metrics of the task by name, from the [`logits`] of the dataset. A NaN among them makes every metric NaN.
///
/// # Panics
/// If there are not as many outputs as the dataset asks for.
pub fn metrics(task: &TaskSpec, data: &Dataset, outputs: &[f32]) -> BTreeMap<String, f64> {
    if data.masking.is_some() {
        return of_words(outputs);
    }
    let Some(questioned) = &data.questioned else { return task::evaluate(task, outputs, &data.labels) };
    let mut scores = Scores::default();
    for answer in questioned.answers(&data.encoded, outputs) {
        scores.add(Some(answer.text), &answer.question.answers);
    }
    let finite = if outputs.iter().any(|x| x.is_nan()) { f64::NAN } else { 1.0 };
    let [exact, f1] = scores.shares().map(|share| share * finite);
    [(MetricId::ExactMatch, exact), (MetricId::F1, f1)]
        .map(|(id, share)| (id.name().to_owned(), share))
        .into()
}

/// Of masked words: the share that was found, and the mean loss in nats with e to it.
fn of_words(outputs: &[f32]) -> BTreeMap<String, f64> {
    let mean = |at: usize| {
        let own = outputs.iter().skip(at).step_by(2).map(|x| f64::from(*x));
        own.sum::<f64>() / (outputs.len() / 2) as f64
    };
    let (loss, found) = (mean(0), mean(1));
    let finite = if loss.is_nan() { f64::NAN } else { 1.0 };
    let perplexity = if loss.is_nan() { f64::NAN } else { loss.exp().min(f64::MAX) };
    [(MetricId::Accuracy, found * finite), (MetricId::Loss, loss), (MetricId::Perplexity, perplexity)]
        .map(|(id, value)| (id.name().to_owned(), value))
        .into()
}

/// The share of hidden words that are the commonest one.
fn commonest_word(data: &Dataset) -> f64 {
    let (mut counts, all): (BTreeMap<u32, usize>, Vec<usize>) = (BTreeMap::new(), (0..data.len()).collect());
    for indices in all.chunks(BATCH) {
        if let (_, BatchLabels::Words { words, .. }) = data.batch(indices) {
            words.iter().for_each(|word| *counts.entry(*word).or_default() += 1);
        }
    }
    counts.values().max().copied().unwrap_or(0) as f64 / counts.values().sum::<usize>() as f64
}

/// The deciding metric of a model that has learnt nothing: of the commonest class or word, 0 of a constant score or of no
/// answer.
pub fn baseline(task: &TaskSpec, data: &Dataset) -> f64 {
    match data.questioned {
        Some(_) => 0.0,
        None if data.masking.is_some() => commonest_word(data),
        None => task::majority_baseline(task, &data.labels),
    }
}
