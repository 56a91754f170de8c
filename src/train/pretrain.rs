//! Masked-LM pre-training (Devlin et al. 2019, section 3.1): words hidden in running text are to be found again.

use super::{
    checkpoint::{Checkpoints, Evaluation},
    dataset::input,
    optimize::{Objective, Recipe, Seen, Summary, optimize},
    progress::Progress,
};
use crate::{
    error::Result,
    model::{Bert, Input, Pass, Wanted, Workspace},
    ops::{
        dropout::DropoutPlan,
        loss::{self, Prediction},
    },
    text::{Batch, Encoded, Masking},
};

/// Held-out text is always masked alike, whatever the seed of the run, so that scores can be compared.
const HELDOUT_SEED: u64 = 0;

/// Held-out sequences that are packed together: it changes nothing but speed and memory.
const BATCH: usize = 32;

/// Sequences to learn from, others to score on, and how words are hidden.
pub struct MaskedText<'a> {
    pub train: &'a [Encoded],
    pub heldout: &'a [Encoded],
    pub masking: &'a Masking,
    /// Of the masks of the training text, which differ from epoch to epoch.
    pub seed: u64,
    /// Steps from one score to the next; the first model and the last one are always scored.
    pub evaluate_every: u64,
}

/// A packed batch with some words hidden: their rows, ascending, and what they were.
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

struct FindWords<'a> {
    text: &'a MaskedText<'a>,
    workspace: Workspace,
}

impl Objective for FindWords<'_> {
    fn examples(&self) -> usize {
        self.text.train.len()
    }

    fn pass(
        &mut self,
        bert: &Bert,
        indices: &[usize],
        epoch: usize,
        dropout: &DropoutPlan,
        gradient: &mut [f32],
    ) -> Seen {
        let (text, workspace) = (self.text, &mut self.workspace);
        let masked = Masked::new(text.train, indices, text.masking, text.seed, epoch);
        let pass = Pass { dropout: Some(dropout), keep: true, ..Pass::default() };
        bert.forward_masked(&masked.input(), &masked.rows, &pass, workspace);
        let found = loss::words(workspace.masked_logits(), &masked.words);
        let loss = mean_loss(&found);
        if loss.is_finite() {
            bert.backward_masked(&masked.input(), &pass, workspace, Wanted::Weights(gradient));
        }
        Seen { loss, predictions: found.len(), tokens: masked.batch.tokens() }
    }

    fn remedy(&self, lower: f64) -> String {
        format!(
            "Lower the peak learning rate with `--learning-rate {lower:e}` or lengthen the warm-up with `--warmup 0.1`."
        )
    }

    fn evaluate(&mut self, bert: &Bert, step: u64, total: u64) -> Option<Evaluation> {
        let due = step == total || step.is_multiple_of(self.text.evaluate_every.max(1));
        due.then(|| score(bert, self.text.heldout, self.text.masking, step, &mut self.workspace))
    }
}

fn mean_loss(found: &[Prediction]) -> f64 {
    found.iter().map(|p| p.loss).sum::<f64>() / found.len() as f64
}

/// Dropout off.
fn score(
    bert: &Bert,
    heldout: &[Encoded],
    masking: &Masking,
    step: u64,
    workspace: &mut Workspace,
) -> Evaluation {
    let all: Vec<usize> = (0..heldout.len()).collect();
    let mut found = Vec::new();
    for indices in all.chunks(BATCH) {
        let masked = Masked::new(heldout, indices, masking, HELDOUT_SEED, 0);
        bert.forward_masked(&masked.input(), &masked.rows, &Pass::default(), workspace);
        found.extend(loss::words(workspace.masked_logits(), &masked.words));
    }
    let loss = mean_loss(&found);
    let correct = found.iter().filter(|p| p.correct).count();
    Evaluation {
        step,
        predictions: found.len() as u64,
        loss,
        perplexity: loss.exp().min(f64::MAX),
        accuracy: correct as f64 / found.len() as f64,
    }
}

/// Trains the masked-LM model in place; see [`optimize`].
pub fn pretrain(
    bert: &mut Bert,
    text: &MaskedText,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let mut objective = FindWords { text, workspace: Workspace::default() };
    optimize(bert, &mut objective, recipe, checkpoints, progress)
}
