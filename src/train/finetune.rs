//! Fine-tuning: a classifier or a regression on labelled examples.

use super::{
    checkpoint::Checkpoints,
    dataset::{Dataset, input},
    log::{PendingStep, Summary},
    optimize::{Objective, Recipe, optimize},
    progress::Progress,
};
use crate::{
    engine::{Engine, Goal, Machine, Update},
    error::Result,
    model::Bert,
    ops::{WeightMask, dropout::DropoutPlan},
};

struct Labelled<'a>(&'a Dataset);

impl Objective for Labelled<'_> {
    fn examples(&self) -> usize {
        self.0.len()
    }

    fn step(
        &mut self,
        engine: &mut dyn Engine,
        indices: &[usize],
        _epoch: usize,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<PendingStep> {
        let (batch, labels) = self.0.batch(indices);
        let outcome = engine.step(&input(&batch), Goal::Labels(labels.targets()), dropout, update)?;
        Ok(PendingStep { outcome, predictions: indices.len(), tokens: batch.tokens() })
    }

    fn remedy(&self, lower: f64) -> String {
        format!(
            "Lower the peak learning rate with `--set train.learning_rate={lower:e}` or lengthen the warm-up with \
             `--set train.warmup=0.1`."
        )
    }
}

/// Trains the classifier and the layers below it; see [`optimize`].
pub fn finetune(
    machine: &Machine,
    bert: Bert,
    mask: Option<&WeightMask>,
    data: &Dataset,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<(Bert, Summary)> {
    optimize(machine, bert, mask, &mut Labelled(data), recipe, checkpoints, progress)
}
