//! What training adds to a model in device memory: the optimizer's state, and the step's outcome.

use super::weights::Weights;
use crate::{
    engine::{Part, StepStats, Update, refused},
    error::Result,
    model::params::Layout,
    ops::{
        WeightMask,
        cuda::{
            Buffer, Gpu, download,
            optimizer::{self, Unkept},
        },
        optimizer::State,
        pending::Pending,
    },
};
use std::{collections::BTreeMap, ops::Range, rc::Rc, sync::Arc};

/// Elements that share a sign of whether they decay; tensors begin at multiples of it.
const BLOCK: usize = 16;

pub(super) struct Trainer {
    /// The optimizer's state, in the order of its slots.
    slots: Vec<Buffer>,
    /// One byte for each block: 1 where weight decay applies.
    decays: Buffer,
    /// One bit for each weight: 1 where it is kept.
    kept: Option<Buffer>,
    /// The task that the steps are of, of several, and how many its classifier has taken.
    task: Option<(Arc<Part>, u32)>,
    /// Of tasks whose tickets have not all units, by their classifiers: one bit for each weight, 1 where their steps may move it.
    moving: BTreeMap<usize, Buffer>,
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
        let (task, moving) = (None, BTreeMap::new());
        Ok(Self { slots, decays, kept, task, moving, outcome, scratch, state })
    }

    /// See [`Engine::take_up`](crate::engine::Engine::take_up).
    pub fn take_up(
        &mut self,
        gpu: &Rc<dyn Gpu>,
        layout: &Layout,
        part: &Arc<Part>,
        steps: u32,
    ) -> Result<()> {
        if !part.still.is_empty() && !self.moving.contains_key(&part.classifier) {
            let (mut mask, bits) = (WeightMask::all_kept(layout.len), Buffer::new(gpu));
            part.still.iter().for_each(|range| mask.set(range.clone(), range.clone().map(|_| false)));
            bits.upload(mask.words())?;
            self.moving.insert(part.classifier, bits);
        }
        self.task = Some((Arc::clone(part), steps));
        Ok(())
    }

    /// The task that the steps are of.
    pub fn part(&self) -> Option<Arc<Part>> {
        self.task.as_ref().map(|(part, _)| Arc::clone(part))
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
        optimizer::judge(gpu, gradient, kept, len, update.clip, outcome, self.scratch.address())?;
        let steps = self.state.steps;
        match &mut self.task {
            None => {
                let unkept = kept.map_or(Unkept::None, Unkept::Zero);
                self.step(gpu, weights, gradient, (0..len, unkept), update, steps + 1)?;
            }
            Some((part, own)) => {
                let [encoder, classifier] = part.moving(&weights.layout, steps, *own);
                *own += 1;
                let moving = self.moving.get(&part.classifier).map(Buffer::address);
                let unkept = moving.filter(|_| !part.still.is_empty()).map_or(Unkept::None, Unkept::Frozen);
                for ((range, before), unkept) in [(encoder, unkept), (classifier, Unkept::None)] {
                    self.step(gpu, weights, gradient, (range, unkept), update, before + 1)?;
                }
            }
        }
        // If a step before is refused, so is this one, and the count does not matter.
        self.state.steps += 1;
        let found = optimizer::Outcome::fetch(gpu, outcome)?;
        Ok(found.map(|optimizer::Outcome { loss, norm, .. }| StepStats {
            loss,
            norm: if loss.is_finite() { norm } else { f64::NAN },
        }))
    }

    /// The optimizer's step on a range of the weights that begins at a block.
    fn step(
        &self,
        gpu: &dyn Gpu,
        weights: &Weights,
        gradient: u64,
        (range, unkept): (Range<usize>, Unkept),
        update: &Update,
        number: u32,
    ) -> Result<()> {
        let (floats, halves) = (range.start as u64 * 4, range.start as u64 * 2);
        let slots: Vec<u64> = self.slots.iter().map(|slot| slot.address() + floats).collect();
        let on = optimizer::Parameters {
            len: range.len(),
            weights: weights.master() + floats,
            gradient: gradient + floats,
            slots: &slots,
            copy: weights.copy().map(|copy| copy + halves),
            decays: self.decays.address() + (range.start / BLOCK) as u64,
            unkept,
        };
        let rate = update.learning_rate;
        optimizer::step(gpu, self.state.optimizer(), &on, rate, number, self.outcome.address())
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
