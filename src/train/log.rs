//! The log of a training run's steps. It may be a few steps behind those that the device has been given.

use super::{
    checkpoint::{Evaluation, Position},
    event::{Event, TrainingStep},
    progress::Progress,
};
use crate::{
    engine::StepStats,
    error::{Error, Result},
    ops::pending::{Pending, Queue},
};
use std::time::Instant;

/// A finished training run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub steps: u64,
    pub seconds: f64,
    /// The part of `seconds` that earlier processes spent.
    pub seconds_before: f64,
    pub tokens: u64,
    /// Mean training loss of every finished epoch.
    pub epoch_losses: Vec<f64>,
    /// Scores on the development set after them, where the best epoch's weights are kept.
    pub epoch_scores: Vec<f64>,
    pub evaluations: Vec<Evaluation>,
    /// Versions and kernels of the processes that took the steps.
    pub computed_by: Vec<String>,
}

impl Summary {
    /// Tokens per second.
    pub fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

/// A step that the engine has been asked for.
pub struct PendingStep {
    pub outcome: Pending<StepStats>,
    /// The number of predictions: examples, or masked tokens.
    pub predictions: usize,
    pub tokens: usize,
}

/// A step whose loss is not known yet.
struct Step {
    /// Counted from 0.
    number: u64,
    epoch: usize,
    learning_rate: f64,
    predictions: usize,
    tokens: usize,
}

/// The steps so far, and those whose loss is pending.
pub struct Log {
    /// The position after the last step whose loss is known.
    pub at: Position,
    steps: Queue<Step, StepStats>,
    total: u64,
    /// What to change if training diverges, for the error.
    remedy: String,
    started: Instant,
    seconds_before: f64,
}

impl Log {
    /// A log that continues from this position, in a process that started the run at `started`.
    pub fn new(at: Position, total: u64, remedy: String, started: Instant) -> Self {
        let seconds_before = at.seconds;
        Self { at, steps: Queue::default(), total, remedy, started, seconds_before }
    }

    /// The number of the next step, from 0.
    pub fn next(&self) -> u64 {
        self.at.step + self.steps.len() as u64
    }

    /// Adds the next step, and reports the steps that are known by now.
    ///
    /// # Errors
    /// As [`Self::catch_up`].
    pub fn add(
        &mut self,
        step: PendingStep,
        epoch: usize,
        learning_rate: f64,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let PendingStep { outcome, predictions, tokens } = step;
        let step = Step { number: self.next(), epoch, learning_rate, predictions, tokens };
        self.steps.push(step, outcome);
        while let Some((step, outcome)) = self.steps.due()? {
            self.report(&step, outcome, progress)?;
        }
        Ok(())
    }

    /// Waits for all pending steps and reports them.
    ///
    /// # Errors
    /// When a loss or gradient is not finite.
    pub fn catch_up(&mut self, progress: &mut dyn Progress) -> Result<()> {
        while let Some((step, outcome)) = self.steps.oldest()? {
            self.report(&step, outcome, progress)?;
        }
        Ok(())
    }

    fn report(&mut self, step: &Step, outcome: StepStats, progress: &mut dyn Progress) -> Result<()> {
        let StepStats { loss, norm } = outcome;
        for (what, value) in [("loss", loss), ("gradient norm", norm)] {
            if !value.is_finite() {
                return Err(self.diverged(what, step.number, step.learning_rate));
            }
        }
        let at = &mut self.at;
        at.step += 1;
        at.tokens += step.tokens as u64;
        at.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        at.epoch_loss += loss * step.predictions as f64;
        at.epoch_predictions += step.predictions as u64;
        let smooth = at.recent.map_or(loss, |r| 0.95 * r + 0.05 * loss);
        at.recent = Some(smooth);
        let rate = at.tokens as f64 / at.seconds;
        progress.step(at.step, &format!("loss {smooth:.4}, {rate:.0} tokens/s"));
        progress.event(&Event::Step(TrainingStep {
            step: at.step,
            total: self.total,
            epoch: step.epoch + 1,
            loss,
            learning_rate: step.learning_rate,
            gradient_norm: norm,
            tokens_per_s: rate,
        }));
        Ok(())
    }

    /// Waits for all pending steps, and closes this epoch, counted from 0.
    ///
    /// # Errors
    /// As [`Self::catch_up`].
    pub fn end_epoch(&mut self, epoch: usize, epochs: usize, progress: &mut dyn Progress) -> Result<()> {
        self.catch_up(progress)?;
        let at = &mut self.at;
        let loss = at.epoch_loss / at.epoch_predictions as f64;
        at.epoch_losses.push(loss);
        progress.event(&Event::EpochEnds { epoch: epoch + 1, epochs, loss });
        (at.epoch_loss, at.epoch_predictions) = (0.0, 0);
        Ok(())
    }

    /// The error for a value that is not finite; `step` is counted from 0.
    pub fn diverged(&self, what: &str, step: u64, learning_rate: f64) -> Error {
        Error::internal(format!(
            "the {what} is not a finite number at step {} of {} (learning rate {learning_rate:.3e}): training \
             diverged. {}",
            step + 1,
            self.total,
            self.remedy,
        ))
    }

    /// The summary of all known steps.
    pub fn summary(self) -> Summary {
        let Position { step, tokens, epoch_losses, epoch_scores, evaluations, computed_by, .. } = self.at;
        let seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        let seconds_before = self.seconds_before;
        Summary {
            steps: step,
            seconds,
            seconds_before,
            tokens,
            epoch_losses,
            epoch_scores,
            evaluations,
            computed_by,
        }
    }
}
