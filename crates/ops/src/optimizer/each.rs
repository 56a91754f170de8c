//! One pass over weights, gradients and slots, whatever the optimizer computes of each.

use super::SLOTS;
use crate::{
    simd::LANES,
    weight_mask::{All, Bits, Lanes, masked},
};

/// What a step makes of one weight and its slots.
pub(super) trait Arithmetic: Copy {
    /// `gradient` is clipped.
    fn apply(self, weight: &mut f32, gradient: f32, slots: [&mut f32; SLOTS]);
}

/// At most [`LANES`] weights.
#[inline(always)]
fn some(arithmetic: impl Arithmetic, values: [&mut [f32]; 4], kept: [u32; LANES], scale: f32) {
    let [w, g, first, second] = values;
    for ((((w, g), first), second), kept) in w.iter_mut().zip(g).zip(first).zip(second).zip(kept) {
        let gradient = *g * scale;
        *g = 0.0;
        arithmetic.apply(w, gradient, [first, second]);
        (*w, *first, *second) = (masked(*w, kept), masked(*first, kept), masked(*second, kept));
    }
}

#[inline(always)]
fn all(arithmetic: impl Arithmetic, values: [&mut [f32]; 4], kept: impl Lanes, scale: f32) {
    let [w, g, m, v] = values;
    let len = w.len();
    let ((w, w_rest), (g, g_rest)) = (w.as_chunks_mut::<LANES>(), g.as_chunks_mut::<LANES>());
    let ((m, m_rest), (v, v_rest)) = (m.as_chunks_mut::<LANES>(), v.as_chunks_mut::<LANES>());
    for (n, (((w, g), m), v)) in w.iter_mut().zip(g).zip(m).zip(v).enumerate() {
        some(arithmetic, [w, g, m, v], kept.lanes(n * LANES), scale);
    }
    if !w_rest.is_empty() {
        let kept = kept.lanes(len - w_rest.len());
        some(arithmetic, [w_rest, g_rest, m_rest, v_rest], kept, scale);
    }
}

/// Weights, their gradients, which are cleared, and both slots; to be inlined into a function that is compiled for each
/// instruction set.
#[inline(always)]
pub(super) fn each(
    arithmetic: impl Arithmetic,
    values: [&mut [f32]; 4],
    kept: Option<Bits<'_>>,
    gradient_scale: f32,
) {
    match kept {
        None => all(arithmetic, values, All, gradient_scale),
        Some(kept) => all(arithmetic, values, kept, gradient_scale),
    }
}
