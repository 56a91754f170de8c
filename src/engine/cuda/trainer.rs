//! What training adds to a model in device memory: the gradient, the optimizer's state, and the step's outcome.

use super::weights::{Weights, tensor};
use crate::{
    engine::{Goal, StepStats, Update, refused},
    error::Result,
    model::params::Layout,
    ops::{
        WeightMask,
        cuda::{Buffer, Gpu, download, fetch, optimizer, sums::Parts},
        optimizer::State,
        pending::Pending,
    },
};
use std::rc::Rc;

/// Elements that share a sign of whether they decay; tensors begin at multiples of it.
const BLOCK: usize = 16;

pub(super) struct Trainer {
    gradient: Buffer,
    /// The optimizer's state, in the order of its slots.
    slots: Vec<Buffer>,
    /// One byte for each block: 1 where weight decay applies.
    decays: Buffer,
    /// One bit for each weight: 1 where it is kept.
    kept: Option<Buffer>,
    outcome: Buffer,
    scratch: Buffer,
    /// Of the gradient's sums over rows.
    pub parts: Parts,
    /// The steps that were asked for are counted here; the rest is as it was when last asked for.
    state: State,
}

impl Trainer {
    pub fn new(gpu: &Rc<dyn Gpu>, layout: &Layout, state: State, mask: Option<&WeightMask>) -> Result<Self> {
        let [gradient, decays, outcome, scratch] = [(); 4].map(|()| Buffer::new(gpu));
        // The gaps between tensors stay zeros.
        gpu.clear(gradient.floats(layout.len)?, layout.len * 4)?;
        let slots: Vec<Buffer> = state.slots().iter().map(|_| Buffer::new(gpu)).collect();
        for (buffer, slot) in slots.iter().zip(state.slots()) {
            buffer.upload(&slot.values)?;
        }
        let mut signs = vec![0u8; layout.len.div_ceil(BLOCK)];
        for range in layout.decayed() {
            signs[range.start / BLOCK..range.end.div_ceil(BLOCK)].fill(1);
        }
        decays.upload(&signs)?;
        let kept = mask.map(|mask| {
            let kept = Buffer::new(gpu);
            kept.upload(mask.words()).map(|_| kept)
        });
        let kept = kept.transpose()?;
        optimizer::Outcome::begin(&outcome)?;
        scratch.fit(optimizer::norm_scratch(layout.len))?;
        Ok(Self { gradient, slots, decays, kept, outcome, scratch, parts: Parts::new(gpu), state })
    }

    pub fn gradient(&self) -> u64 {
        self.gradient.address()
    }

    /// The mean loss and the gradient of the last pass.
    pub fn fetch_gradient(&self, gpu: &dyn Gpu, len: usize) -> Result<Pending<(f64, Vec<f32>)>> {
        let outcome = optimizer::Outcome::fetch(gpu, self.outcome.address())?;
        Ok(outcome.and(fetch(gpu, self.gradient(), len)?).map(|(outcome, gradient)| (outcome.loss, gradient)))
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

    /// Clip and the optimizer's step, unless loss or gradient is not a finite number, or those of a step before were not.
    pub fn update(
        &mut self,
        gpu: &dyn Gpu,
        weights: &Weights,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        let (len, outcome) = (weights.layout.len, self.outcome.address());
        let kept = self.kept.as_ref().map(Buffer::address);
        // If one of them is refused, so is this one, and the count does not matter.
        self.state.steps += 1;
        optimizer::judge(gpu, self.gradient(), kept, len, update.clip, outcome, self.scratch.address())?;
        let slots: Vec<u64> = self.slots.iter().map(Buffer::address).collect();
        let on = optimizer::Parameters {
            len,
            weights: weights.master(),
            gradient: self.gradient(),
            slots: &slots,
            copy: weights.copy(),
            decays: self.decays.address(),
            kept,
        };
        let (rate, number) = (update.learning_rate, self.state.steps);
        optimizer::step(gpu, self.state.optimizer(), &on, rate, number, outcome)?;
        let found = optimizer::Outcome::fetch(gpu, outcome)?;
        Ok(found.map(|optimizer::Outcome { loss, norm, .. }| StepStats {
            loss,
            norm: if loss.is_finite() { norm } else { f64::NAN },
        }))
    }

    /// Waits for all steps.
    ///
    /// # Errors
    /// When one of them was refused.
    pub fn finish_steps(&self, gpu: &dyn Gpu) -> Result<()> {
        let outcome = optimizer::Outcome::fetch(gpu, self.outcome.address())?.wait()?;
        if outcome.taken { Ok(()) } else { Err(refused()) }
    }

    pub fn download(&mut self, gpu: &dyn Gpu) -> Result<&State> {
        for (slot, buffer) in self.state.slots_mut().iter_mut().zip(&self.slots) {
            slot.values = download(gpu, buffer.address(), slot.values.len())?;
        }
        Ok(&self.state)
    }
}
