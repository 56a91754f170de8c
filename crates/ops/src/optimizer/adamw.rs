//! AdamW (Loshchilov and Hutter 2019, algorithm 2) in one pass, with the gradient's clip and its reset inside.

use super::{
    piece::Piece,
    rule::{NUMBERS, Rule},
};
use crate::{
    dispatch,
    simd::LANES,
    weight_mask::{All, Bits, Lanes, masked},
};

/// The optimizer's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// See [`AdamW::numbers`].
type Numbers = [f32; NUMBERS];

#[inline(always)]
fn update_one(w: &mut f32, g: &mut f32, m: &mut f32, v: &mut f32, numbers: Numbers, gradient_scale: f32) {
    let [beta1, beta2, rest1, rest2, epsilon, step_size, inverse_root, keep] = numbers;
    let gradient = *g * gradient_scale;
    *g = 0.0;
    *m = beta1.mul_add(*m, rest1 * gradient);
    *v = beta2.mul_add(*v, rest2 * gradient * gradient);
    let root = v.sqrt().mul_add(inverse_root, epsilon);
    *w = w.mul_add(keep, -(step_size * *m / root));
}

/// At most [`LANES`] weights.
#[inline(always)]
fn update_some(state: [&mut [f32]; 4], kept: [u32; LANES], numbers: Numbers, scale: f32) {
    let [w, g, m, v] = state;
    for ((((w, g), m), v), kept) in w.iter_mut().zip(g).zip(m).zip(v).zip(kept) {
        update_one(w, g, m, v, numbers, scale);
        (*w, *m, *v) = (masked(*w, kept), masked(*m, kept), masked(*v, kept));
    }
}

#[inline(always)]
fn update_kept(state: [&mut [f32]; 4], kept: impl Lanes, numbers: Numbers, scale: f32) {
    let [w, g, m, v] = state;
    let len = w.len();
    let ((w, w_rest), (g, g_rest)) = (w.as_chunks_mut::<LANES>(), g.as_chunks_mut::<LANES>());
    let ((m, m_rest), (v, v_rest)) = (m.as_chunks_mut::<LANES>(), v.as_chunks_mut::<LANES>());
    for (n, (((w, g), m), v)) in w.iter_mut().zip(g).zip(m).zip(v).enumerate() {
        update_some([w, g, m, v], kept.lanes(n * LANES), numbers, scale);
    }
    if !w_rest.is_empty() {
        let kept = kept.lanes(len - w_rest.len());
        update_some([w_rest, g_rest, m_rest, v_rest], kept, numbers, scale);
    }
}

dispatch! {
    fn update(
        w: &mut [f32],
        g: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
        kept: Option<Bits<'_>>,
        numbers: Numbers,
        scale: f32,
    ) {
        match kept {
            None => update_kept([w, g, m, v], All, numbers, scale),
            Some(kept) => update_kept([w, g, m, v], kept, numbers, scale),
        }
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
    fn numbers(&self, learning_rate: f64, step: u32) -> Numbers {
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

    fn update(&self, piece: Piece, numbers: &Numbers, gradient_scale: f32) {
        let mut numbers = *numbers;
        if !piece.decays {
            numbers[7] = 1.0;
        }
        let Piece { weights, gradient, slots: [first, second], kept, .. } = piece;
        update(weights, gradient, first, second, kept, numbers, gradient_scale);
    }
}
