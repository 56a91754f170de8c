//! What training adds to a model in device memory: the gradient, the moments, and the step's outcome.

use super::weights::{Weights, tensor};
use crate::{
    engine::{Goal, StepStats, Update, refused},
    error::Result,
    model::params::Layout,
    ops::{
        adamw::Moments,
        cuda::{Buffer, Gpu, adamw, download, sums::Parts},
        pending::Pending,
    },
};
use std::rc::Rc;

/// Elements that share a sign of whether they decay; tensors begin at multiples of it.
const BLOCK: usize = 16;

pub(super) struct Trainer {
    gradient: Buffer,
    first: Buffer,
    second: Buffer,
    /// One byte for each block: 1 where weight decay applies.
    decays: Buffer,
    outcome: Buffer,
    scratch: Buffer,
    /// Of the gradient's sums over rows.
    pub parts: Parts,
    /// The steps that were asked for are counted here; the rest is as it was when last asked for.
    moments: Moments,
}

impl Trainer {
    pub fn new(gpu: &Rc<dyn Gpu>, layout: &Layout, moments: Moments) -> Result<Self> {
        let [gradient, first, second, decays, outcome, scratch] = [(); 6].map(|()| Buffer::new(gpu));
        // The gaps between tensors stay zeros.
        gpu.clear(gradient.floats(layout.len)?, layout.len * 4)?;
        first.upload(&moments.first)?;
        second.upload(&moments.second)?;
        let mut signs = vec![0u8; layout.len.div_ceil(BLOCK)];
        for range in layout.decayed() {
            signs[range.start / BLOCK..range.end.div_ceil(BLOCK)].fill(1);
        }
        decays.upload(&signs)?;
        adamw::Outcome::begin(&outcome)?;
        scratch.fit(adamw::norm_scratch(layout.len))?;
        Ok(Self { gradient, first, second, decays, outcome, scratch, parts: Parts::new(gpu), moments })
    }

    pub fn gradient(&self) -> u64 {
        self.gradient.address()
    }

    /// Where a step's mean loss goes, f64: the first field of its outcome.
    pub fn loss(&self) -> u64 {
        self.outcome.address()
    }

    /// The gradients of the embeddings' tables become zeros: most of their rows have no token. That of the words' is left
    /// as it is where the masked-LM head writes it.
    pub fn clear_tables(&self, gpu: &dyn Gpu, layout: &Layout, goal: &Goal) -> Result<()> {
        // The three follow each other.
        let start = match goal {
            Goal::Labels(_) => layout.words.start,
            Goal::MaskedTokens { .. } => layout.positions.start,
        };
        let all = start..layout.segments.end;
        gpu.clear(tensor(self.gradient(), &all), all.len() * 4)
    }

    /// Clip and AdamW, unless loss or gradient is not a finite number, or those of a step before were not.
    pub fn update(
        &mut self,
        gpu: &dyn Gpu,
        weights: &Weights,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        let (len, outcome) = (weights.layout.len, self.outcome.address());
        // If one of them is refused, so is this one, and the count does not matter.
        self.moments.steps += 1;
        adamw::judge(gpu, self.gradient(), len, update.clip, outcome, self.scratch.address())?;
        adamw::step(
            gpu,
            update.optimizer,
            weights.master(),
            self.gradient(),
            self.first.address(),
            self.second.address(),
            weights.copy(),
            self.decays.address(),
            len,
            update.learning_rate,
            self.moments.steps,
            outcome,
        )?;
        let found = adamw::Outcome::fetch(gpu, outcome)?;
        Ok(found.map(|adamw::Outcome { loss, norm, .. }| StepStats {
            loss,
            norm: if loss.is_finite() { norm } else { f64::NAN },
        }))
    }

    /// Waits for all steps.
    ///
    /// # Errors
    /// When one of them was refused.
    pub fn finish_steps(&self, gpu: &dyn Gpu) -> Result<()> {
        let outcome = adamw::Outcome::fetch(gpu, self.outcome.address())?.wait()?;
        if outcome.taken { Ok(()) } else { Err(refused()) }
    }

    pub fn download(&mut self, gpu: &dyn Gpu) -> Result<&Moments> {
        let moments = &mut self.moments;
        moments.first = download(gpu, self.first.address(), moments.first.len())?;
        moments.second = download(gpu, self.second.address(), moments.second.len())?;
        Ok(moments)
    }
}
