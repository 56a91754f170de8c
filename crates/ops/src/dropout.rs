//! Dropout masks as multipliers, 0 or 1 / (1 - p), recomputed wherever they are needed and never stored.

use super::rng::{LANES, Purpose, philox_lanes};
use crate::dispatch;
use rayon::prelude::*;

/// Elements that one block of Philox counters decides: 16 lanes × 4 words × 2 halves.
const GROUP: usize = 8 * LANES;

/// The dropout rates of one training step, with the seed and the step that fix its masks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutPlan {
    pub seed: u64,
    pub step: u32,
    /// Rate on embeddings and both block outputs.
    pub hidden: f32,
    /// Rate on the attention probabilities.
    pub attention: f32,
    /// Rate on the classifier's input.
    pub classifier: f32,
}

impl DropoutPlan {
    /// The mask on hidden states at `purpose` in `layer`; `None` when the rate is 0.
    pub fn hidden(&self, purpose: Purpose, layer: usize) -> Option<Dropout> {
        let rate = if purpose == Purpose::ClassifierDropout { self.classifier } else { self.hidden };
        Dropout::new(self, rate, purpose, layer, 0, 0)
    }

    /// The mask on the probabilities of one head of one sequence. `head` is the head's number in the unpruned layer,
    /// so removing its neighbours does not change a head's masks.
    pub fn attention(&self, layer: usize, head: usize, sequence: usize) -> Option<Dropout> {
        Dropout::new(self, self.attention, Purpose::AttentionDropout, layer, head, sequence)
    }
}

/// One site's mask: a function from the element's index to its multiplier.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    pub(super) seed: u64,
    /// Counter words 1..4: sequence, site, step.
    pub(super) id: [u32; 3],
    /// An element is dropped when its 16 random bits are below this.
    pub(super) threshold: u32,
    pub(super) scale: f32,
}

impl Dropout {
    pub(super) fn new(
        plan: &DropoutPlan,
        rate: f32,
        purpose: Purpose,
        layer: usize,
        head: usize,
        sequence: usize,
    ) -> Option<Self> {
        // Sixteen bits decide, so the rate is rounded to a multiple of 2⁻¹⁶; the scale uses the rounded rate and the
        // expectation stays exactly 1.
        let threshold = (f64::from(rate) * 65536.0).round() as u32;
        let site = purpose as u32 | (head as u32) << 8 | (layer as u32) << 20;
        (threshold > 0).then(|| Self {
            seed: plan.seed,
            id: [sequence as u32, site, plan.step],
            threshold,
            scale: (65536.0 / (65536.0 - f64::from(threshold))) as f32,
        })
    }

    /// Writes the multipliers of elements `first .. first + out.len()`.
    pub fn multipliers(&self, first: usize, out: &mut [f32]) {
        fill(self, first, out);
    }

    /// x ⊙ mask in place, element i of `x` being the mask's element i.
    pub fn apply(&self, x: &mut [f32]) {
        const TASK: usize = 32 * GROUP;
        x.par_chunks_mut(TASK).enumerate().for_each(|(i, x)| {
            let mut mask = [0f32; TASK];
            let mask = &mut mask[..x.len()];
            self.multipliers(i * TASK, mask);
            x.iter_mut().zip(mask).for_each(|(x, m)| *x *= *m);
        });
    }
}

dispatch! {
    fn fill(mask: &Dropout, first: usize, out: &mut [f32]) {
        let (mut at, mut done) = (first, 0);
        while done < out.len() {
            let group = at / GROUP;
            let skip = at % GROUP;
            let take = (GROUP - skip).min(out.len() - done);
            let block = multiplier_group(mask, group);
            out[done..done + take].copy_from_slice(&block[skip..skip + take]);
            at += take;
            done += take;
        }
    }
}

/// Element `16 k + lane` of a group takes half `k % 2` of word `k / 2` of its lane's counter.
#[inline(always)]
fn multiplier_group(mask: &Dropout, group: usize) -> [f32; GROUP] {
    let mut first = [0u32; LANES];
    for (lane, counter) in first.iter_mut().enumerate() {
        *counter = (group * LANES + lane) as u32;
    }
    let words = philox_lanes(first, mask.id, mask.seed);
    let mut out = [0f32; GROUP];
    for (k, chunk) in out.chunks_exact_mut(LANES).enumerate() {
        let shift = 16 * (k as u32 % 2);
        for lane in 0..LANES {
            let bits = words[k / 2][lane] >> shift & 0xFFFF;
            chunk[lane] = if bits < mask.threshold { 0.0 } else { mask.scale };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(hidden: f32) -> DropoutPlan {
        DropoutPlan { seed: 11, step: 3, hidden, attention: 0.1, classifier: hidden }
    }

    #[test]
    fn a_mask_does_not_depend_on_how_it_is_cut() {
        let mask = plan(0.1).hidden(Purpose::FfnOutputDropout, 2).unwrap();
        let mut whole = vec![0.0; 1000];
        mask.multipliers(0, &mut whole);
        for (first, len) in [(0, 1), (1, 127), (127, 2), (128, 128), (300, 700), (999, 1)] {
            let mut part = vec![0.0; len];
            mask.multipliers(first, &mut part);
            assert_eq!(part, whole[first..first + len]);
        }
    }

    #[test]
    fn the_rate_is_kept_and_the_expectation_is_one() {
        for rate in [0.1f32, 0.5] {
            let mask = plan(rate).hidden(Purpose::EmbeddingDropout, 0).unwrap();
            let mut x = vec![0.0; 200_000];
            mask.multipliers(0, &mut x);
            let dropped = x.iter().filter(|v| **v == 0.0).count() as f32 / x.len() as f32;
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            assert!((dropped - rate).abs() < 0.004, "{dropped}");
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
        }
        assert!(plan(0.0).hidden(Purpose::EmbeddingDropout, 0).is_none());
    }

    #[test]
    fn the_classifiers_input_has_a_rate_of_its_own() {
        let plan = DropoutPlan { classifier: 0.0, ..plan(0.1) };
        assert!(plan.hidden(Purpose::ClassifierDropout, 0).is_none());
        assert!(plan.hidden(Purpose::EmbeddingDropout, 0).is_some());
        let plan = DropoutPlan { classifier: 0.5, hidden: 0.0, ..plan };
        assert_eq!(plan.hidden(Purpose::ClassifierDropout, 0).unwrap().scale, 2.0);
        assert!(plan.hidden(Purpose::FfnOutputDropout, 0).is_none());
    }

    #[test]
    fn sites_steps_heads_and_sequences_have_different_masks() {
        let draw = |mask: Option<Dropout>| {
            let mut x = vec![0.0; 256];
            mask.unwrap().multipliers(0, &mut x);
            x
        };
        let p = plan(0.5);
        let masks = [
            draw(p.hidden(Purpose::EmbeddingDropout, 0)),
            draw(p.hidden(Purpose::FfnOutputDropout, 0)),
            draw(p.hidden(Purpose::FfnOutputDropout, 1)),
            draw(DropoutPlan { step: 4, ..p }.hidden(Purpose::FfnOutputDropout, 1)),
            draw(DropoutPlan { attention: 0.5, ..p }.attention(0, 0, 0)),
            draw(DropoutPlan { attention: 0.5, ..p }.attention(0, 1, 0)),
            draw(DropoutPlan { attention: 0.5, ..p }.attention(0, 0, 1)),
        ];
        for i in 0..masks.len() {
            for j in 0..i {
                assert_ne!(masks[i], masks[j], "masks {i} and {j}");
            }
        }
    }
}
