//! AdamW (Loshchilov and Hutter 2019, algorithm 2) over all parameters in one pass, with the gradient's global clip
//! and its reset inside.

use super::simd::LANES;
use crate::dispatch;
use rayon::prelude::*;
use std::ops::Range;

/// Elements that one parallel task updates.
const CHUNK: usize = 1 << 16;

/// The optimizer's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

/// The numbers of one step, as the kernel wants them.
#[derive(Clone, Copy)]
struct Coefficients {
    beta1: f32,
    beta2: f32,
    /// 1 - β, subtracted before rounding to f32: 1 - 0.999 would be off by 1e-5 afterwards.
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    gradient_scale: f32,
    /// lr / (1 - β₁ᵗ)
    step_size: f32,
    /// 1 / √(1 - β₂ᵗ)
    inverse_root: f32,
}

/// First and second moments, as long as the parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: u32,
}

impl Moments {
    pub fn zeros(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }
}

dispatch! {
    fn update(w: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32], c: Coefficients, keep: f32) {
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let gradient = *g * c.gradient_scale;
            *g = 0.0;
            *m = c.beta1.mul_add(*m, c.rest1 * gradient);
            *v = c.beta2.mul_add(*v, c.rest2 * gradient * gradient);
            let root = v.sqrt().mul_add(c.inverse_root, c.epsilon);
            *w = w.mul_add(keep, -(c.step_size * *m / root));
        }
    }
}

dispatch! {
    fn squares(x: &[f32]) -> f64 {
        let mut lanes = [0f64; LANES];
        let blocks = x.chunks_exact(LANES);
        let tail = blocks.remainder();
        for block in blocks {
            for i in 0..LANES {
                let v = f64::from(block[i]);
                lanes[i] = v.mul_add(v, lanes[i]);
            }
        }
        let rest: f64 = tail.iter().map(|v| f64::from(*v).powi(2)).sum();
        lanes.iter().sum::<f64>() + rest
    }
}

/// ‖g‖₂ over all parameters.
pub fn norm(gradient: &[f32]) -> f64 {
    let parts: Vec<f64> = gradient.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum::<f64>().sqrt()
}

/// The factor that brings a gradient of this norm down to `clip` (0 = no clipping), as PyTorch's `clip_grad_norm_`.
pub fn clip_scale(norm: f64, clip: f64) -> f64 {
    if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 }
}

impl AdamW {
    /// One step on `weights` with `gradient · gradient_scale`; clears the gradient. `decayed` lists, in ascending
    /// order, the ranges to which weight decay applies.
    pub fn step(
        &self,
        weights: &mut [f32],
        gradient: &mut [f32],
        moments: &mut Moments,
        decayed: &[Range<usize>],
        learning_rate: f64,
        gradient_scale: f64,
    ) {
        moments.steps += 1;
        let t = f64::from(moments.steps);
        let c = Coefficients {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            epsilon: self.epsilon as f32,
            gradient_scale: gradient_scale as f32,
            step_size: (learning_rate / (1.0 - self.beta1.powf(t))) as f32,
            inverse_root: (1.0 / (1.0 - self.beta2.powf(t)).sqrt()) as f32,
        };
        let keep = (1.0 - learning_rate * self.weight_decay) as f32;
        weights
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks_mut(CHUNK))
            .zip(moments.first.par_chunks_mut(CHUNK))
            .zip(moments.second.par_chunks_mut(CHUNK))
            .enumerate()
            .for_each(|(i, (((w, g), m), v))| {
                for (range, decays) in pieces(i * CHUNK..i * CHUNK + w.len(), decayed) {
                    let at = range.start - i * CHUNK..range.end - i * CHUNK;
                    let keep = if decays { keep } else { 1.0 };
                    let (w, g) = (&mut w[at.clone()], &mut g[at.clone()]);
                    update(w, g, &mut m[at.clone()], &mut v[at], c, keep);
                }
            });
    }
}

/// Cuts `whole` at the borders of the decayed ranges.
fn pieces(whole: Range<usize>, decayed: &[Range<usize>]) -> Vec<(Range<usize>, bool)> {
    let mut cut = Vec::new();
    let mut at = whole.start;
    let from = decayed.partition_point(|r| r.end <= whole.start);
    for range in decayed[from..].iter().take_while(|r| r.start < whole.end) {
        let (start, end) = (range.start.max(whole.start), range.end.min(whole.end));
        if at < start {
            cut.push((at..start, false));
        }
        cut.push((start..end, true));
        at = end;
    }
    if at < whole.end {
        cut.push((at..whole.end, false));
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_chunk_once() {
        let decayed = [2..5, 5..7, 10..30];
        let all = pieces(3..20, &decayed);
        assert_eq!(all, [(3..5, true), (5..7, true), (7..10, false), (10..20, true)]);
        assert_eq!(pieces(31..40, &decayed), [(31..40, false)]);
    }

    /// The textbook update in f64.
    #[test]
    fn steps_follow_the_published_algorithm_with_decay_groups_and_clipping() {
        let n = CHUNK + 77;
        let optimizer = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
        let decayed = std::iter::once(0..CHUNK - 5).collect::<Vec<_>>();
        let mut w: Vec<f32> = (0..n).map(|i| (i % 17) as f32 / 17.0).collect();
        let mut exact: Vec<[f64; 3]> = w.iter().map(|v| [f64::from(*v), 0.0, 0.0]).collect();
        let mut moments = Moments::zeros(n);
        for t in 1..=5 {
            let mut g: Vec<f32> = (0..n).map(|i| ((i * t) % 13) as f32 - 6.0).collect();
            let total = norm(&g);
            let naive = g.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            assert!((total / naive - 1.0).abs() < 1e-12);
            let scale = clip_scale(total, 1.0);
            assert!((scale * (total + 1e-6) - 1.0).abs() < 1e-12);
            for (i, ([w, m, v], g)) in exact.iter_mut().zip(&g).enumerate() {
                let g = f64::from(*g) * scale;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                let (mh, vh) = (*m / (1.0 - 0.9f64.powi(t as i32)), *v / (1.0 - 0.999f64.powi(t as i32)));
                let decay = if i < CHUNK - 5 { 1.0 - 1e-3 * 0.1 } else { 1.0 };
                *w = *w * decay - 1e-3 * mh / (vh.sqrt() + 1e-8);
            }
            optimizer.step(&mut w, &mut g, &mut moments, &decayed, 1e-3, scale);
            assert!(g.iter().all(|v| *v == 0.0));
        }
        for (a, [b, ..]) in w.iter().zip(&exact) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(9.0, 0.0), 1.0);
    }
}
