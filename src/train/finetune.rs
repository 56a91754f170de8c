//! Fine-tuning: epochs of shuffled packed batches, AdamW, global clip, linear schedule; the last weights are kept.

use super::{
    checkpoint::{Checkpoints, Position},
    dataset::{Dataset, input},
    progress::Progress,
    schedule::Linear,
};
use crate::{
    error::{Error, Result},
    model::{Bert, Pass, Wanted, Workspace},
    ops::{
        adamw::{self, AdamW, Moments},
        dropout::DropoutPlan,
        loss,
        rng::{Purpose, Stream},
        simd,
    },
};
use std::time::Instant;

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    pub learning_rate: f64,
    pub batch_size: usize,
    pub epochs: usize,
    /// Fraction of all steps that warms up.
    pub warmup: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    pub clip: f64,
    pub optimizer: AdamW,
    /// Dropout on hidden states, and on attention probabilities.
    pub dropout: f32,
    pub attention_dropout: f32,
    /// Seeds of the data's order and of the dropout masks.
    pub order_seed: u64,
    pub dropout_seed: u64,
}

/// What a training run was like.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub steps: u64,
    pub seconds: f64,
    /// Those of them that earlier processes spent.
    pub seconds_before: f64,
    pub tokens: u64,
    /// Mean training loss of every epoch.
    pub epoch_losses: Vec<f64>,
    /// Versions and kernels of the processes that took the steps.
    pub computed_by: Vec<String>,
}

impl Recipe {
    /// Steps of the whole run; the last batch of an epoch may be smaller.
    pub fn steps(&self, examples: usize) -> u64 {
        (self.epochs * examples.div_ceil(self.batch_size)) as u64
    }

    /// The order of the examples in one epoch: a plain shuffle that depends on the seed and the epoch alone.
    pub fn order(&self, examples: usize, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..examples).collect();
        Stream::new(self.order_seed, Purpose::DataOrder, epoch as u32).shuffle(&mut order);
        order
    }
}

/// `step` is counted from 0.
fn diverged(recipe: &Recipe, what: &str, step: u64, total: u64, learning_rate: f64) -> Error {
    Error::internal(format!(
        "the {what} is not a finite number at step {} of {total} (learning rate {learning_rate:.3e}): training \
         diverged. Lower the peak learning rate with `--set train.learning_rate={:e}` or lengthen the warm-up with \
         `--set train.warmup=0.1`.",
        step + 1,
        recipe.learning_rate / 2.0,
    ))
}

/// Trains `bert` in place, from the last checkpoint when there is one: the outcome has the same bits then.
///
/// # Errors
/// A loss or gradient that is not finite stops the run and names the step and the learning rate. `Error::Stopped` when
/// `progress` asks for it, after the present step and a checkpoint.
pub fn finetune(
    bert: &mut Bert,
    data: &Dataset,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let started = Instant::now();
    let total = recipe.steps(data.len());
    let schedule = Linear::new(total, recipe.warmup);
    let decayed = bert.params.layout.decayed();
    let mut gradient = vec![0f32; bert.params.data.len()];
    let mut moments = Moments::zeros(gradient.len());
    let mut workspace = Workspace::default();
    let mut d_logits = Vec::new();
    let mut at = begin(&mut bert.params.data, &mut moments, checkpoints, total, progress)?;
    let seconds_before = at.seconds;
    let steps_per_epoch = data.len().div_ceil(recipe.batch_size);
    for epoch in at.epoch_losses.len()..recipe.epochs {
        let taken = at.step as usize - epoch * steps_per_epoch;
        for indices in recipe.order(data.len(), epoch).chunks(recipe.batch_size).skip(taken) {
            let step = at.step;
            let plan = DropoutPlan {
                seed: recipe.dropout_seed,
                step: step as u32,
                hidden: recipe.dropout,
                attention: recipe.attention_dropout,
            };
            let pass = Pass { dropout: Some(&plan), keep: true, ..Pass::default() };
            let (batch, labels) = data.batch(indices);
            bert.forward(&input(&batch), &pass, &mut workspace);
            d_logits.resize(workspace.logits().len(), 0.0);
            let loss = loss::mean(workspace.logits(), labels.targets(), &mut d_logits);
            let learning_rate = recipe.learning_rate * schedule.factor(step);
            let diverged = |what: &str| diverged(recipe, what, step, total, learning_rate);
            if !loss.is_finite() {
                return Err(diverged("loss"));
            }
            bert.backward(&input(&batch), &pass, &mut workspace, &d_logits, Wanted::Weights(&mut gradient));
            let norm = adamw::norm(&gradient);
            if !norm.is_finite() {
                return Err(diverged("gradient's norm"));
            }
            let scale = adamw::clip_scale(norm, recipe.clip);
            let weights = &mut bert.params.data;
            recipe.optimizer.step(weights, &mut gradient, &mut moments, &decayed, learning_rate, scale);
            at.step += 1;
            at.tokens += batch.tokens() as u64;
            at.seconds = seconds_before + started.elapsed().as_secs_f64();
            at.epoch_loss += loss * indices.len() as f64;
            let smooth = at.recent.map_or(loss, |r| 0.95 * r + 0.05 * loss);
            at.recent = Some(smooth);
            let rate = at.tokens as f64 / at.seconds;
            progress.step(at.step, &format!("loss {smooth:.4}, {rate:.0} tokens/s"));
            let weights = &bert.params.data;
            if progress.stop_wanted() {
                checkpoints.save(&at, weights, &moments)?;
                return Err(Error::stopped(&format!("after step {} of {total}", at.step)));
            }
            if checkpoints.due() {
                save_if_possible(checkpoints, &at, weights, &moments, progress);
            }
        }
        at.epoch_losses.push(at.epoch_loss / data.len() as f64);
        at.epoch_loss = 0.0;
    }
    // The last update has no loss after it.
    let last = total.saturating_sub(1);
    if !adamw::norm(&bert.params.data).is_finite() {
        return Err(diverged(
            recipe,
            "norm of the weights",
            last,
            total,
            recipe.learning_rate * schedule.factor(last),
        ));
    }
    let Position { step, tokens, epoch_losses, computed_by, .. } = at;
    let seconds = seconds_before + started.elapsed().as_secs_f64();
    Ok(Summary { steps: step, seconds, seconds_before, tokens, epoch_losses, computed_by })
}

/// The last checkpoint, or the first step.
fn begin(
    weights: &mut [f32],
    moments: &mut Moments,
    checkpoints: &Checkpoints,
    total: u64,
    progress: &mut dyn Progress,
) -> Result<Position> {
    let found = checkpoints.restore(weights, moments, progress)?;
    if let Some(at) = &found {
        progress.say(&format!("goes on after step {} of {total}", at.step));
    }
    let mut at = found.unwrap_or_default();
    let own = format!("{} {:?}", env!("CARGO_PKG_VERSION"), simd::level()).to_lowercase();
    if at.computed_by.last() != Some(&own) {
        if let Some(other) = at.computed_by.last() {
            progress.say(&format!(
                "warning: the steps so far were computed by {other}, the rest will be by {own}: the outcome will not \
                 be bit for bit that of either"
            ));
        }
        at.computed_by.push(own);
    }
    Ok(at)
}

/// A run without checkpoints is better than none.
fn save_if_possible(
    checkpoints: &mut Checkpoints,
    at: &Position,
    weights: &[f32],
    moments: &Moments,
    progress: &mut dyn Progress,
) {
    if let Err(error) = checkpoints.save(at, weights, moments) {
        progress.say(&format!("warning: no checkpoint at step {}: {error}", at.step));
        checkpoints.postpone();
    }
}
