//! Fine-tuning: a classifier, a regression, spans or masked words.

use super::{
    checkpoint::Checkpoints,
    dataset::{BatchLabels, Dataset, input},
    gradual::Pruner,
    log::{PendingStep, Summary},
    masked::Draw,
    optimize::{Objective, Recipe, optimize},
    progress::Progress,
    select::Judge,
};
use crate::{
    engine::{Engine, Machine, Update},
    error::Result,
    model::Bert,
    ops::{WeightMask, dropout::DropoutPlan},
};

/// The examples that a model is fine-tuned on.
pub struct Labelled<'a> {
    pub train: &'a Dataset,
    /// What chooses the epoch whose weights are kept; without it the last weights are.
    pub judge: Option<Judge<'a>>,
    /// What prunes weights on the way.
    pub gradual: Option<&'a dyn Pruner>,
}

impl<'a> From<&'a Dataset> for Labelled<'a> {
    fn from(train: &'a Dataset) -> Self {
        Self { train, judge: None, gradual: None }
    }
}

impl Objective for Labelled<'_> {
    fn examples(&self) -> usize {
        self.train.len()
    }

    fn step(
        &mut self,
        engine: &mut dyn Engine,
        indices: &[usize],
        epoch: usize,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<PendingStep> {
        // What is hidden is noise as dropout is.
        let (batch, labels) = self.train.batch_masked(indices, Draw { seed: dropout.seed, epoch });
        let outcome = engine.step(&input(&batch), labels.goal(), dropout, update)?;
        let predictions =
            if let BatchLabels::Words { words, .. } = &labels { words.len() } else { indices.len() };
        Ok(PendingStep { outcome, predictions, tokens: batch.tokens() })
    }

    fn selects(&self) -> bool {
        self.judge.is_some()
    }

    fn score(&mut self, engine: &mut dyn Engine) -> Result<f64> {
        self.judge.map_or(Ok(0.0), |judge| judge.score(engine))
    }

    fn pruner(&self) -> Option<&dyn Pruner> {
        self.gradual
    }

    fn remedy(&self, lower: f64) -> String {
        format!(
            "Lower the peak learning rate with `--set train.learning_rate={lower:e}` or lengthen the warm-up with \
             `--set train.warmup=0.1`."
        )
    }
}

/// Trains the classifier and the layers below it; see [`optimize`].
pub fn finetune<'a>(
    machine: &Machine,
    bert: Bert,
    mask: Option<&WeightMask>,
    data: impl Into<Labelled<'a>>,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<(Bert, Summary)> {
    optimize(machine, bert, mask, &mut data.into(), recipe, checkpoints, progress)
}
