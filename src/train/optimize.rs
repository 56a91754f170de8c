//! The training loop: epochs of packed batches, an optimizer, global clipping, a schedule; the last weights are kept, or those
//! of the best epoch. It minimises an [`Objective`].

use super::{
    batches::Batches,
    checkpoint::{Checkpoints, Evaluation, Position},
    event::Event,
    gradual::Pruner,
    log::{Log, PendingStep, Summary},
    progress::Progress,
    schedule::Schedule,
    select,
};
use crate::{
    cores,
    engine::{Engine, Machine, Update},
    error::{Error, Result},
    model::Bert,
    ops::{
        WeightMask,
        dropout::DropoutPlan,
        optimizer::{Optimizer, State, norm},
    },
};
use std::time::Instant;

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    pub learning_rate: f64,
    pub batch_size: usize,
    pub epochs: usize,
    /// Ends training early, possibly within an epoch.
    pub max_steps: Option<u64>,
    /// One of so many trainings that one learning-rate schedule goes over, counted from 0.
    pub part: Option<[u64; 2]>,
    /// Ends training at this step of the schedule of all.
    pub until: Option<u64>,
    /// Fraction of all steps that warms up.
    pub warmup: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    pub clip: f64,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    pub batches: Batches,
    /// Dropout on hidden states, on attention probabilities, and on the classifier's input.
    pub dropout: f32,
    pub attention_dropout: f32,
    pub classifier_dropout: f32,
    /// Seeds of the data's order and of the dropout masks.
    pub order_seed: u64,
    pub dropout_seed: u64,
}

/// What training minimises, and on what.
pub trait Objective {
    /// Examples of one epoch.
    fn examples(&self) -> usize;

    /// Steps of one epoch.
    fn steps_per_epoch(&self, recipe: &Recipe) -> usize {
        self.examples().div_ceil(recipe.batch_size)
    }

    /// The batches of an epoch, in order.
    fn batches(&self, recipe: &Recipe, epoch: usize) -> Vec<Vec<usize>> {
        recipe.batches.of(self.examples(), recipe.batch_size, recipe.order_seed, epoch)
    }

    /// One step on these examples.
    fn step(
        &mut self,
        engine: &mut dyn Engine,
        indices: &[usize],
        epoch: usize,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<PendingStep>;

    /// Whether the weights of the best epoch are kept, by [`Self::score`], and not the last ones.
    fn selects(&self) -> bool {
        false
    }

    /// The score of the current weights, at the end of an epoch.
    fn score(&mut self, _engine: &mut dyn Engine) -> Result<f64> {
        Ok(0.0)
    }

    /// What prunes weights on the way.
    fn pruner(&self) -> Option<&dyn Pruner> {
        None
    }

    /// What to change if training diverges; `lower` is a peak learning rate to try.
    fn remedy(&self, lower: f64) -> String;

    /// Whether the weights after `step` steps, 0 included, are scored on held-out data.
    fn scored_at(&self, _step: u64, _total: u64) -> bool {
        false
    }

    /// The score of the current weights.
    fn evaluate(&mut self, _engine: &mut dyn Engine, _step: u64) -> Result<Option<Evaluation>> {
        Ok(None)
    }
}

impl Recipe {
    /// Steps of the whole run; the last batch of an epoch may be smaller.
    pub fn steps(&self, examples: usize) -> u64 {
        self.steps_of(examples.div_ceil(self.batch_size))
    }

    /// Steps of the whole run, by those of an epoch.
    pub fn steps_of(&self, per_epoch: usize) -> u64 {
        let all = (self.epochs * per_epoch) as u64;
        self.max_steps.map_or(all, |most| all.min(most))
    }
}

/// Trains `bert`, resuming from the last checkpoint if there is one; the result has the same bits either way. Weights that
/// a mask does not keep are zero throughout.
///
/// # Errors
/// A loss or gradient that is not finite stops the run; the error names the step and the learning rate, and nothing is kept
/// of the steps that the device was given after it. `Error::Stopped` if `progress` asks to stop, after the current step and
/// a checkpoint.
pub fn optimize(
    machine: &Machine,
    mut bert: Bert,
    mask: Option<&WeightMask>,
    objective: &mut dyn Objective,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<(Bert, Summary)> {
    let started = Instant::now();
    let steps_per_epoch = objective.steps_per_epoch(recipe);
    let total = recipe.steps_of(steps_per_epoch);
    let end = recipe.until.map_or(total, |until| until.min(total));
    let [part, parts] = recipe.part.unwrap_or([0, 1]);
    let factor = |step| recipe.schedule.factor(part * total + step, parts * total, recipe.warmup);
    let rate = |step| recipe.learning_rate * factor(step);
    let mut state = recipe.optimizer.state(bert.params.data.len());
    let program = machine.program();
    let selects = objective.selects();
    let fits =
        |at: &Position| at.is_of(total, recipe.epochs, steps_per_epoch as u64) && at.has_scores(selects);
    let mut at = begin(&mut bert.params.data, &mut state, checkpoints, total, &fits, program, progress)?;
    let reached = objective
        .pruner()
        .map(|pruner| pruner.reached(at.step, &apart(&bert, &state)))
        .transpose()?
        .flatten();
    let mut engine = machine.trainer(bert, state, reached.or_else(|| mask.cloned()))?;
    let remedy = objective.remedy(recipe.learning_rate / 2.0);
    if at.step == 0 && !evaluate(objective, &mut *engine, &mut at, total, progress)? {
        return Err(Error::data(
            "the held-out loss of the initial weights is not a finite number. Check the model's weights.",
        ));
    }
    let mut log = Log::new(at, total, remedy, started);
    'epochs: for epoch in log.at.epoch_losses.len()..recipe.epochs {
        let taken = log.at.step as usize - epoch * steps_per_epoch;
        let batches = objective.batches(recipe, epoch);
        for indices in batches.iter().skip(taken) {
            let step = log.next();
            if step == end {
                break 'epochs;
            }
            if objective.pruner().is_some_and(|pruner| pruner.is_due(step)) {
                log.catch_up(progress)?;
                engine = pruned(machine, engine, objective, step)?;
            }
            let plan = DropoutPlan {
                seed: recipe.dropout_seed,
                step: step as u32,
                hidden: recipe.dropout,
                attention: recipe.attention_dropout,
                classifier: recipe.classifier_dropout,
            };
            let learning_rate = rate(step);
            let update = Update { learning_rate, clip: recipe.clip };
            let step_taken = objective.step(&mut *engine, indices, epoch, &plan, &update)?;
            log.add(step_taken, epoch, learning_rate, progress)?;
            // The device continues with the next step unless the weights after this one are needed.
            let scored = objective.scored_at(step + 1, total);
            if !(scored || progress.stop_wanted() || checkpoints.due()) {
                continue;
            }
            log.catch_up(progress)?;
            if !evaluate(objective, &mut *engine, &mut log.at, total, progress)? {
                return Err(log.diverged("held-out loss", step, learning_rate));
            }
            if progress.stop_wanted() {
                let (weights, state) = engine.state()?;
                checkpoints.save(&log.at, weights, state)?;
                return Err(Error::stopped(&format!("after step {} of {total}", log.at.step)));
            }
            if checkpoints.due() {
                let (weights, state) = engine.state()?;
                save_if_possible(checkpoints, &log.at, weights, state, progress);
            }
        }
        log.end_epoch(epoch, recipe.epochs, progress)?;
        if selects {
            let score = objective.score(&mut *engine)?;
            if !score.is_finite() {
                let step = log.at.step.saturating_sub(1);
                return Err(log.diverged("score on the development set", step, rate(step)));
            }
            log.at.epoch_scores.push(score);
            let best = select::best(&log.at.epoch_scores) == Some(epoch);
            if best {
                checkpoints.best = engine.state()?.0.to_vec();
            }
            let so_far = if best { ", the best so far" } else { "" };
            progress.note(&format!(
                "epoch {} of {}: {score:.4} on the development set{so_far}",
                epoch + 1,
                recipe.epochs
            ));
        }
    }
    log.catch_up(progress)?;
    // No loss is computed after the last update.
    let last = end.saturating_sub(1);
    let mut bert = engine.finish()?;
    if !cores::compute(|| norm(&bert.params.data, None)).is_finite() {
        return Err(log.diverged("norm of the weights", last, rate(last)));
    }
    if !log.at.epoch_scores.is_empty() {
        bert.params.data = std::mem::take(&mut checkpoints.best);
    }
    Ok((bert, log.summary()))
}

/// The same training, in which more weights are zero from this step on.
fn pruned(
    machine: &Machine,
    mut engine: Box<dyn Engine>,
    objective: &dyn Objective,
    step: u64,
) -> Result<Box<dyn Engine>> {
    let state = engine.state()?.1.clone();
    let bert = engine.finish()?;
    let mask = objective.pruner().map(|pruner| pruner.mask(step, &bert)).transpose()?;
    machine.trainer(bert, state, mask)
}

/// A copy in which only pruned weights are zero, as their optimizer's state is: one that training has led through zero is a
/// little above it.
fn apart(bert: &Bert, state: &State) -> Bert {
    let mut apart = bert.clone();
    for (at, weight) in apart.params.data.iter_mut().enumerate().filter(|(_, weight)| **weight == 0.0) {
        if state.slots().iter().any(|slot| slot.values[at] != 0.0) {
            *weight = f32::MIN_POSITIVE;
        }
    }
    apart
}

/// Records and reports the score on held-out data if one is due. Returns whether it is finite.
fn evaluate(
    objective: &mut dyn Objective,
    engine: &mut dyn Engine,
    at: &mut Position,
    total: u64,
    progress: &mut dyn Progress,
) -> Result<bool> {
    if !objective.scored_at(at.step, total) {
        return Ok(true);
    }
    let Some(found) = objective.evaluate(engine, at.step)? else { return Ok(true) };
    progress.note(&format!(
        "step {:>6} of {total}: held-out loss {:.4}, perplexity {}, accuracy {:.4}",
        at.step,
        found.loss,
        found.perplexity_text(),
        found.accuracy
    ));
    at.evaluations.push(found);
    Ok(found.loss.is_finite())
}

/// The position of the last checkpoint, or of the first step.
fn begin(
    weights: &mut [f32],
    state: &mut State,
    checkpoints: &mut Checkpoints,
    total: u64,
    fits: &dyn Fn(&Position) -> bool,
    program: String,
    progress: &mut dyn Progress,
) -> Result<Position> {
    let found = checkpoints.restore(weights, state, fits, progress)?;
    if let Some(at) = &found {
        progress.note(&format!("resuming after step {} of {total}", at.step));
        progress.event(&Event::StageResumes { step: at.step, total });
    }
    let mut at = found.unwrap_or_default();
    if at.computed_by.last() != Some(&program) {
        if let Some(other) = at.computed_by.last() {
            progress.warn(&format!(
                "the steps so far were computed by {other}, the rest will be computed by {program}: the result will not match \
                 either bit for bit"
            ));
        }
        at.computed_by.push(program);
    }
    Ok(at)
}

/// A run without checkpoints is better than no run, so a failure is only a warning.
fn save_if_possible(
    checkpoints: &mut Checkpoints,
    at: &Position,
    weights: &[f32],
    state: &State,
    progress: &mut dyn Progress,
) {
    if let Err(error) = checkpoints.save(at, weights, state) {
        progress.warn(&format!("no checkpoint at step {}: {error}", at.step));
        checkpoints.postpone();
    }
}
