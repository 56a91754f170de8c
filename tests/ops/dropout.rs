//! Dropout masks, against the generator called one counter at a time.

use crate::support::{holds, numbers, on_threads};
use lottery::ops::{
    dropout::DropoutPlan,
    rng::{Purpose, philox},
};
use proptest::prelude::{any, prop};

/// What mask `id` (sequence, site, step) multiplies element `i` with.
fn multiplier(i: usize, id: [u32; 3], seed: u64, rate: f32) -> f32 {
    let (group, place) = (i / 128, i % 128);
    let (part, lane) = (place / 16, place % 16);
    let words = philox([(group * 16 + lane) as u32, id[0], id[1], id[2]], seed);
    let bits = words[part / 2] >> (16 * (part % 2)) & 0xFFFF;
    let threshold = (f64::from(rate) * 65536.0).round();
    if f64::from(bits) < threshold { 0.0 } else { (65536.0 / (65536.0 - threshold)) as f32 }
}

#[test]
fn masks_are_the_generator_s_numbers_wherever_they_are_cut() {
    let rate = prop::sample::select(vec![1e-4f32, 0.1, 0.5, 0.9]);
    let site = (0usize..24, 0usize..64, 0usize..300);
    let cut = (0usize..9000, prop::sample::select(vec![1usize, 5, 127, 128, 129, 511, 5000]));
    holds(24, (rate, site, cut, any::<u64>(), any::<u32>()), |(rate, site, (first, len), seed, step)| {
        let (layer, head, sequence) = site;
        let plan = DropoutPlan { seed, step, hidden: rate, attention: rate, classifier: rate };
        let masks = [
            (plan.attention(layer, head, sequence), sequence, head, Purpose::AttentionDropout),
            (plan.hidden(Purpose::FfnOutputDropout, layer), 0, 0, Purpose::FfnOutputDropout),
        ];
        for (mask, sequence, head, purpose) in masks {
            let mask = mask.expect("the rate is not 0");
            let id = [sequence as u32, purpose as u32 | (head as u32) << 8 | (layer as u32) << 20, step];
            let mut found = vec![f32::NAN; len];
            mask.multipliers(first, &mut found);
            let exact: Vec<f32> = (first..first + len).map(|i| multiplier(i, id, seed, rate)).collect();
            assert!(found == exact);
            let x = numbers(len, seed, 1);
            let [applied] = on_threads(|| {
                let mut x = x.clone();
                mask.apply(&mut x);
                [x]
            });
            let exact = x.iter().enumerate().map(|(i, x)| x * multiplier(i, id, seed, rate));
            assert!(exact.eq(applied));
        }
    });
}
