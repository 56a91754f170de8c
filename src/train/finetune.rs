//! Fine-tuning: a classifier or a regression on labelled examples.

use super::{
    checkpoint::Checkpoints,
    dataset::{Dataset, input},
    optimize::{Objective, Recipe, Seen, Summary, optimize},
    progress::Progress,
};
use crate::{
    error::Result,
    model::{Bert, Pass, Wanted, Workspace},
    ops::{dropout::DropoutPlan, loss},
};

struct Labelled<'a> {
    data: &'a Dataset,
    workspace: Workspace,
    d_logits: Vec<f32>,
}

impl Objective for Labelled<'_> {
    fn examples(&self) -> usize {
        self.data.len()
    }

    fn pass(
        &mut self,
        bert: &Bert,
        indices: &[usize],
        _epoch: usize,
        dropout: &DropoutPlan,
        gradient: &mut [f32],
    ) -> Seen {
        let pass = Pass { dropout: Some(dropout), keep: true, ..Pass::default() };
        let (batch, labels) = self.data.batch(indices);
        let (input, Self { workspace, d_logits, .. }) = (input(&batch), self);
        bert.forward(&input, &pass, workspace);
        d_logits.resize(workspace.logits().len(), 0.0);
        let loss = loss::mean(workspace.logits(), labels.targets(), d_logits);
        if loss.is_finite() {
            bert.backward(&input, &pass, workspace, d_logits, Wanted::Weights(gradient));
        }
        Seen { loss, predictions: indices.len(), tokens: batch.tokens() }
    }

    fn remedy(&self, lower: f64) -> String {
        format!(
            "Lower the peak learning rate with `--set train.learning_rate={lower:e}` or lengthen the warm-up with \
             `--set train.warmup=0.1`."
        )
    }
}

/// Trains the classifier and all below it in place; see [`optimize`].
pub fn finetune(
    bert: &mut Bert,
    data: &Dataset,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let mut objective = Labelled { data, workspace: Workspace::default(), d_logits: Vec::new() };
    optimize(bert, &mut objective, recipe, checkpoints, progress)
}
