//! Optimizers: each is a `Rule` in a file of its own and a variant of [`Optimizer`]. What one keeps from step to step
//! is in named slots, so that engines and checkpoints work with any of them.

mod adamax;
mod adamw;
mod clip;
mod each;
mod piece;
mod rule;

pub use adamax::Adamax;
pub use adamw::AdamW;
pub use clip::{clip_scale, norm};
pub use piece::SLOTS;
pub use rule::NUMBERS;

use piece::Piece;
use rule::Rule;

use crate::{choice::choices, weight_mask::WeightMask};
use std::ops::Range;

choices! {
    /// An optimizer without its constants.
    pub enum Kind ("optimizer", default AdamW) {
        /// bias-corrected moments and decoupled weight decay (Loshchilov and Hutter 2019)
        AdamW = "adamw",
        /// without bias correction, decoupled weight decay (MT-DNN; Liang et al. 2021)
        Adamax = "adamax",
    }
}

/// An optimizer with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    AdamW(AdamW),
    Adamax(Adamax),
}

impl Optimizer {
    fn rule(&self) -> &dyn Rule {
        match self {
            Self::AdamW(rule) => rule,
            Self::Adamax(rule) => rule,
        }
    }

    /// Its kernel in `ops/cuda/optimizer.cu`.
    pub fn kernel(&self) -> &'static str {
        self.rule().kernel()
    }

    /// What its kernels are given for step `step`, counted from 1; those that it has no use for are 0.
    pub fn numbers(&self, learning_rate: f64, step: u32) -> [f32; NUMBERS] {
        self.rule().numbers(learning_rate, step)
    }

    /// Its state before the first step on `len` weights: zeros.
    pub fn state(self, len: usize) -> State {
        let slots = self.rule().slots().iter().map(|name| Slot { name, values: vec![0.0; len] }).collect();
        State { optimizer: self, slots, steps: 0 }
    }
}

/// One number for each weight that an optimizer keeps from step to step.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub name: &'static str,
    pub values: Vec<f32>,
}

/// An optimizer between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    optimizer: Optimizer,
    slots: Vec<Slot>,
    /// Steps taken.
    pub steps: u32,
}

impl State {
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// All slots, in the order in which the optimizer names them.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    /// Makes the state of all weights that this mask holds at zero +0.0.
    pub fn hold(&mut self, mask: &WeightMask) {
        self.slots.iter_mut().for_each(|slot| mask.apply(&mut slot.values));
    }

    /// One step on `weights` with `gradient · gradient_scale`; clears the gradient. What `mask` holds becomes +0.0, with
    /// its state. `decayed` lists, in ascending order, the ranges to which weight decay applies.
    pub fn step(
        &mut self,
        weights: &mut [f32],
        gradient: &mut [f32],
        mask: Option<&WeightMask>,
        decayed: &[Range<usize>],
        learning_rate: f64,
        gradient_scale: f64,
    ) {
        self.steps += 1;
        let (all, steps) = (0..weights.len(), self.steps);
        self.update(weights, gradient, mask, decayed, (all, steps), learning_rate, gradient_scale);
    }

    /// As [`step`](Self::step) of some weights alone, each part of which has taken so many steps before; what is in no part
    /// does not change, and neither does its state or its gradient.
    pub fn step_of_parts(
        &mut self,
        weights: &mut [f32],
        gradient: &mut [f32],
        parts: &[(Range<usize>, u32)],
        decayed: &[Range<usize>],
        learning_rate: f64,
        gradient_scale: f64,
    ) {
        self.steps += 1;
        for (range, before) in parts {
            let part = (range.clone(), before + 1);
            self.update(weights, gradient, None, decayed, part, learning_rate, gradient_scale);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn update(
        &mut self,
        weights: &mut [f32],
        gradient: &mut [f32],
        mask: Option<&WeightMask>,
        decayed: &[Range<usize>],
        (range, step): (Range<usize>, u32),
        learning_rate: f64,
        gradient_scale: f64,
    ) {
        let rule = self.optimizer.rule();
        let numbers = rule.numbers(learning_rate, step);
        let mut slots = self.slots.iter_mut();
        let slots = [(); SLOTS].map(|()| slots.next().map(|slot| &mut slot.values[..]).unwrap_or_default());
        Piece::new(range, weights, gradient, slots, mask).update(decayed, &|piece| {
            rule.update(piece, &numbers, gradient_scale as f32);
        });
    }
}
