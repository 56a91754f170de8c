//! What training adds to a model in device memory: the optimizer's state, and the step's outcome.

use super::weights::Weights;
use crate::{
    engine::{StepStats, Update, refused},
    error::Result,
    model::params::Layout,
    ops::{
        WeightMask,
        cuda::{Buffer, Gpu, download, optimizer},
        optimizer::State,
        pending::Pending,
    },
};
use std::rc::Rc;

/// Elements that share a sign of whether they decay; tensors begin at multiples of it.
const BLOCK: usize = 16;

pub(super) struct Trainer {
    /// The optimizer's state, in the order of its slots.
    slots: Vec<Buffer>,
    /// One byte for each block: 1 where weight decay applies.
    decays: Buffer,
    /// One bit for each weight: 1 where it is kept.
    kept: Option<Buffer>,
    outcome: Buffer,
    scratch: Buffer,
    /// The steps that were asked for are counted here; the rest is as it was when last asked for.
    state: State,
}

impl Trainer {
    pub fn new(gpu: &Rc<dyn Gpu>, layout: &Layout, state: State, mask: Option<&WeightMask>) -> Result<Self> {
        let [decays, outcome, scratch] = [(); 3].map(|()| Buffer::new(gpu));
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
        Ok(Self { slots, decays, kept, outcome, scratch, state })
    }

    /// Where a step's mean loss goes, f64: the first field of its outcome.
    pub fn loss(&self) -> u64 {
        self.outcome.address()
    }

    /// Clip and the optimizer's step, unless loss or gradient is not a finite number, or those of a step before were not.
    pub fn update(
        &mut self,
        gpu: &dyn Gpu,
        weights: &Weights,
        gradient: u64,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        let (len, outcome) = (weights.layout.len, self.outcome.address());
        let kept = self.kept.as_ref().map(Buffer::address);
        // If one of them is refused, so is this one, and the count does not matter.
        self.state.steps += 1;
        optimizer::judge(gpu, gradient, kept, len, update.clip, outcome, self.scratch.address())?;
        let slots: Vec<u64> = self.slots.iter().map(Buffer::address).collect();
        let on = optimizer::Parameters {
            len,
            weights: weights.master(),
            gradient,
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
