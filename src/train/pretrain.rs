//! Masked-LM pre-training (Devlin et al. 2019, section 3.1): masked tokens of running text are predicted.

use super::{
    checkpoint::{Checkpoints, Evaluation},
    dataset::input,
    log::{PendingStep, Summary},
    optimize::{Objective, Recipe, optimize},
    progress::Progress,
};
use crate::{
    engine::{Engine, Goal, Machine, Update},
    error::Result,
    model::{Bert, Input},
    ops::{WeightMask, dropout::DropoutPlan, loss::Prediction, pending::pipelined},
    text::{Batch, Encoded, Masking},
};

/// Held-out text is always masked in the same way, whatever the seed of the run, so that scores can be compared.
const HELDOUT_SEED: u64 = 0;

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

/// A packed batch with masked tokens: their rows, ascending, and their original ids.
struct Masked {
    batch: Batch,
    rows: Vec<usize>,
    words: Vec<u32>,
}

impl Masked {
    fn new(text: &[Encoded], indices: &[usize], masking: &Masking, seed: u64, epoch: usize) -> Self {
        let mut batch = Batch::pack(text, indices);
        let (mut places, mut rows, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for (index, at) in indices.iter().zip(batch.offsets.windows(2)) {
            places.clear();
            let ids = &mut batch.ids[at[0]..at[1]];
            masking.apply(ids, seed, epoch as u32, *index as u32, &mut places, &mut words);
            rows.extend(places.iter().map(|place| at[0] + *place as usize));
        }
        Self { batch, rows, words }
    }

    fn input(&self) -> Input<'_> {
        input(&self.batch)
    }
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
        let masked = Masked::new(self.0.train, indices, self.0.masking, self.0.seed, epoch);
        let goal = Goal::MaskedTokens { rows: &masked.rows, words: &masked.words };
        let outcome = engine.step(&masked.input(), goal, dropout, update)?;
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
        let masked = Masked::new(heldout, indices, masking, HELDOUT_SEED, 0);
        Ok(((), engine.predictions(&masked.input(), &masked.rows, &masked.words)?))
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
