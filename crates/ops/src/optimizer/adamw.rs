//! AdamW (Loshchilov and Hutter 2019, algorithm 2) in one pass, with the gradient's clip and its reset inside.

use super::{
    SLOTS,
    each::{Arithmetic, each},
    piece::Piece,
    rule::{NUMBERS, Rule},
};
use crate::{dispatch, weight_mask::Bits};

/// The optimizer's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// See [`AdamW::numbers`].
#[derive(Clone, Copy)]
struct Step([f32; NUMBERS]);

impl Arithmetic for Step {
    #[inline(always)]
    fn apply(self, w: &mut f32, gradient: f32, [m, v]: [&mut f32; SLOTS]) {
        let [beta1, beta2, rest1, rest2, epsilon, step_size, inverse_root, keep] = self.0;
        *m = beta1.mul_add(*m, rest1 * gradient);
        *v = beta2.mul_add(*v, rest2 * gradient * gradient);
        let root = v.sqrt().mul_add(inverse_root, epsilon);
        *w = w.mul_add(keep, -(step_size * *m / root));
    }
}

dispatch! {
    fn update(
        w: &mut [f32],
        g: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
        kept: Option<Bits<'_>>,
        step: Step,
        scale: f32,
    ) {
        each(step, [w, g, m, v], kept, scale);
    }
}

impl AdamW {
    /// The names of its slots.
    pub const SLOTS: [&str; 2] = ["first_moment", "second_moment"];
}

impl Rule for AdamW {
    fn slots(&self) -> &'static [&'static str] {
        &Self::SLOTS
    }

    fn kernel(&self) -> &'static str {
        "adamw"
    }

    /// β₁, β₂, 1 - β₁, 1 - β₂, ε, lr / (1 - β₁ᵗ), 1 / √(1 - β₂ᵗ), and what decay leaves of a weight.
    fn numbers(&self, learning_rate: f64, step: u32) -> [f32; NUMBERS] {
        let t = f64::from(step);
        [
            self.beta1,
            self.beta2,
            // Subtracted before rounding to f32: 1 - 0.999 would be off by 1e-5 afterwards.
            1.0 - self.beta1,
            1.0 - self.beta2,
            self.epsilon,
            learning_rate / (1.0 - self.beta1.powf(t)),
            1.0 / (1.0 - self.beta2.powf(t)).sqrt(),
            1.0 - learning_rate * self.weight_decay,
        ]
        .map(|number| number as f32)
    }

    fn update(&self, piece: Piece, numbers: &[f32; NUMBERS], gradient_scale: f32) {
        let mut numbers = *numbers;
        if !piece.decays {
            numbers[7] = 1.0;
        }
        let Piece { weights, gradient, slots: [first, second], kept, .. } = piece;
        update(weights, gradient, first, second, kept, Step(numbers), gradient_scale);
    }
}
