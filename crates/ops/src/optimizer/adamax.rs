//! Adamax (Kingma and Ba 2015, algorithm 2) as MT-DNN and Liang et al. 2021 train with it: without bias correction, with
//! decoupled weight decay, and with ε both inside the maximum and in the denominator.

use super::{
    SLOTS,
    each::{Arithmetic, each},
    piece::Piece,
    rule::{NUMBERS, Rule},
};
use crate::{dispatch, weight_mask::Bits};

/// The optimizer's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adamax {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// See [`Adamax::numbers`].
#[derive(Clone, Copy)]
struct Step([f32; NUMBERS]);

impl Arithmetic for Step {
    /// m ← β₁m + (1 - β₁)g, u ← max(β₂u, |g| + ε), w ← w - lr (m / (u + ε) + λw).
    #[inline(always)]
    fn apply(self, w: &mut f32, gradient: f32, [m, u]: [&mut f32; SLOTS]) {
        let [beta1, beta2, rest1, epsilon, rate, keep, ..] = self.0;
        *m = beta1.mul_add(*m, rest1 * gradient);
        *u = (beta2 * *u).max(gradient.abs() + epsilon);
        *w = w.mul_add(keep, -(rate * *m / (*u + epsilon)));
    }
}

dispatch! {
    fn update(
        w: &mut [f32],
        g: &mut [f32],
        m: &mut [f32],
        u: &mut [f32],
        kept: Option<Bits<'_>>,
        step: Step,
        scale: f32,
    ) {
        each(step, [w, g, m, u], kept, scale);
    }
}

impl Rule for Adamax {
    fn slots(&self) -> &'static [&'static str] {
        &["first_moment", "infinity_norm"]
    }

    fn kernel(&self) -> &'static str {
        "adamax"
    }

    /// β₁, β₂, 1 - β₁, ε, the learning rate, and what decay leaves of a weight; the same at every step but for the rate.
    fn numbers(&self, learning_rate: f64, _: u32) -> [f32; NUMBERS] {
        let keep = 1.0 - learning_rate * self.weight_decay;
        [self.beta1, self.beta2, 1.0 - self.beta1, self.epsilon, learning_rate, keep, 0.0, 0.0]
            .map(|number| number as f32)
    }

    fn update(&self, piece: Piece, numbers: &[f32; NUMBERS], gradient_scale: f32) {
        let mut numbers = *numbers;
        if !piece.decays {
            numbers[5] = 1.0;
        }
        let Piece { weights, gradient, slots: [first, second], kept, .. } = piece;
        update(weights, gradient, first, second, kept, Step(numbers), gradient_scale);
    }
}
