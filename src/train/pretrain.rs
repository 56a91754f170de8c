//! Masked-LM pre-training (Devlin et al. 2019, section 3.1): masked tokens of running text are predicted.

use super::{
    checkpoint::{Checkpoints, Evaluation},
    dataset::input,
    log::{PendingStep, Summary},
    masked::{Draw, Masked},
    optimize::{Objective, Recipe, optimize},
    progress::Progress,
};
use crate::{
    engine::{Engine, Goal, Machine, Update},
    error::Result,
    model::Bert,
    ops::{WeightMask, dropout::DropoutPlan, loss::Prediction, pending::pipelined},
    text::{Encoded, Masking},
};

/// Held-out sequences per batch, which only affects speed and memory.
const BATCH: usize = 32;

/// Sequences to train on, held-out sequences to score on, and the masking rule.
pub struct MaskedText<'a> {
    pub train: &'a [Encoded],
    pub heldout: &'a [Encoded],
    pub masking: &'a Masking,
    /// Seed of the masks of the training text, which differ from epoch to epoch.
    pub seed: u64,
    /// Steps between evaluations; the initial and the final weights are always scored.
    pub evaluate_every: u64,
}

struct MaskedLm<'a>(&'a MaskedText<'a>);

impl Objective for MaskedLm<'_> {
    fn examples(&self) -> usize {
        self.0.train.len()
    }

    fn step(
        &mut self,
        engine: &mut dyn Engine,
        indices: &[usize],
        epoch: usize,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<PendingStep> {
        let masked = Masked::new(self.0.train, indices, self.0.masking, Draw { seed: self.0.seed, epoch });
        let goal = Goal::MaskedTokens { rows: &masked.rows, words: &masked.words };
        let outcome = engine.step(&input(&masked.batch), goal, dropout, update)?;
        Ok(PendingStep { outcome, predictions: masked.words.len(), tokens: masked.batch.tokens() })
    }

    fn remedy(&self, lower: f64) -> String {
        format!(
            "Lower the peak learning rate with `--learning-rate {lower:e}` or lengthen the warm-up with `--warmup 0.1`."
        )
    }

    fn scored_at(&self, step: u64, total: u64) -> bool {
        step == total || step.is_multiple_of(self.0.evaluate_every.max(1))
    }

    fn evaluate(&mut self, engine: &mut dyn Engine, step: u64) -> Result<Option<Evaluation>> {
        score(engine, self.0.heldout, self.0.masking, step).map(Some)
    }
}

/// The score on held-out text, without dropout.
fn score(engine: &mut dyn Engine, heldout: &[Encoded], masking: &Masking, step: u64) -> Result<Evaluation> {
    let all: Vec<usize> = (0..heldout.len()).collect();
    let mut found = Vec::new();
    let requests = all.chunks(BATCH).map(|indices| {
        let masked = Masked::new(heldout, indices, masking, Draw::SCORING);
        Ok(((), engine.predictions(&input(&masked.batch), &masked.rows, &masked.words)?))
    });
    pipelined(requests, |(), of_batch| {
        found.extend(of_batch);
        Ok(())
    })?;
    let loss = Prediction::mean_loss(&found);
    let correct = found.iter().filter(|p| p.correct).count();
    Ok(Evaluation {
        step,
        predictions: found.len() as u64,
        loss,
        perplexity: loss.exp().min(f64::MAX),
        accuracy: correct as f64 / found.len() as f64,
    })
}

/// Trains the masked-LM model; see [`optimize`].
pub fn pretrain(
    machine: &Machine,
    bert: Bert,
    mask: Option<&WeightMask>,
    text: &MaskedText,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<(Bert, Summary)> {
    optimize(machine, bert, mask, &mut MaskedLm(text), recipe, checkpoints, progress)
}
