//! Outputs of a model for a whole dataset, dropout off, and what they score.

use super::dataset::{Dataset, input};
use crate::{
    engine::Engine,
    error::Result,
    ops::pending::pipelined,
    task::{self, MetricId, TaskSpec, squad::Scores},
};
use std::collections::BTreeMap;

/// Sequences per batch, which only affects speed and memory.
pub const BATCH: usize = 32;

/// (sequences, labels), or of the span head (tokens, 2), in the dataset's order.
pub fn logits(engine: &mut dyn Engine, data: &Dataset) -> Result<Vec<f32>> {
    let mut out = Vec::new();
    let all: Vec<usize> = (0..data.len()).collect();
    let requests = all.chunks(BATCH).map(|indices| {
        let (batch, _) = data.batch(indices);
        Ok(((), engine.logits(&input(&batch), None)?))
    });
    pipelined(requests, |(), logits| {
        out.extend(logits);
        Ok(())
    })?;
    Ok(out)
}

/// All metrics of the task by name, from the [`logits`] of the dataset. A NaN among them makes every metric NaN.
///
/// # Panics
/// If there are not as many outputs as the dataset asks for.
pub fn metrics(task: &TaskSpec, data: &Dataset, outputs: &[f32]) -> BTreeMap<String, f64> {
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

/// The deciding metric of a model that has learnt nothing: of the commonest class, 0 of a constant score or of no answer.
pub fn baseline(task: &TaskSpec, data: &Dataset) -> f64 {
    match data.questioned {
        Some(_) => 0.0,
        None => task::majority_baseline(task, &data.labels),
    }
}
