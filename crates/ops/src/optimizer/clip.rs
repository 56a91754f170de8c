//! The gradient's global norm, and what clips it.

use crate::{
    dispatch,
    simd::LANES,
    weight_mask::{All, Bits, Lanes, WeightMask, masked},
};
use rayon::prelude::*;

/// Elements whose squares one parallel task adds up.
const CHUNK: usize = 1 << 16;

#[inline(always)]
fn kept_squares(x: &[f32], kept: impl Lanes) -> f64 {
    let mut lanes = [0f64; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for (n, block) in blocks.iter().enumerate() {
        let kept = kept.lanes(n * LANES);
        for i in 0..LANES {
            let v = f64::from(masked(block[i], kept[i]));
            lanes[i] = v.mul_add(v, lanes[i]);
        }
    }
    let mut rest = 0.0;
    if !tail.is_empty() {
        let kept = kept.lanes(x.len() - tail.len());
        rest = tail.iter().zip(kept).map(|(v, kept)| f64::from(masked(*v, kept)).powi(2)).sum();
    }
    lanes.iter().sum::<f64>() + rest
}

dispatch! {
    fn squares(x: &[f32], kept: Option<Bits<'_>>) -> f64 {
        match kept {
            None => kept_squares(x, All),
            Some(kept) => kept_squares(x, kept),
        }
    }
}

/// ‖m ⊙ g‖₂ over all parameters, or ‖g‖₂ without a mask.
pub fn norm(gradient: &[f32], mask: Option<&WeightMask>) -> f64 {
    let chunks = gradient.par_chunks(CHUNK).enumerate();
    let parts: Vec<f64> =
        chunks.map(|(n, x)| squares(x, mask.map(|mask| mask.bits_from(n * CHUNK)))).collect();
    parts.iter().sum::<f64>().sqrt()
}

/// The factor that brings a gradient of this norm down to `clip` (0 = no clipping), as PyTorch's `clip_grad_norm_`.
pub fn clip_scale(norm: f64, clip: f64) -> f64 {
    if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_longer_gradients_are_clipped() {
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(9.0, 0.0), 1.0);
        assert!((clip_scale(9.0, 2.0) * (9.0 + 1e-6) - 2.0).abs() < 1e-12);
    }
}
