//! The subnetworks a good ticket is compared with, of the same size where that is possible.

use super::{mask::Mask, mt19937::Mt19937, search::Method};
use crate::choice::choices;

choices! {
    /// Which subnetwork of the fine-tuned model is evaluated and retrained.
    pub enum Mode ("mode") {
        /// the units that survive the search
        Good = "good",
        /// as many, from the pruned ones first
        Bad = "bad",
        /// as many, drawn by the seed
        Random = "random",
        /// all the pruned ones, which need not be as many
        Inverse = "inverse",
        /// the whole model once more
        Full = "full",
    }
}

choices! {
    /// How [`Mode::Random`] draws its units.
    pub enum RandomRule ("rule of control.random") {
        /// as many heads and as many FFNs as the ticket has
        Exact = "exact",
        /// each unit by itself with the ticket's share as probability, as published: the size matches on average only
        Bernoulli = "bernoulli",
    }
}

/// The control of `good`, which `method` found; the same arguments always give the same mask. `rule` matters to `random`
/// only.
pub fn control(mode: Mode, method: Method, good: &Mask, seed: u64, rule: RandomRule) -> Mask {
    match (mode, rule) {
        (Mode::Good, _) => good.clone(),
        (Mode::Full, _) => Mask::full(good.layers, good.heads_per_layer),
        (Mode::Inverse, _) => inverse(method, good),
        (Mode::Bad, _) => bad(good, &mut generator(seed, 1)),
        (Mode::Random, RandomRule::Exact) => random(good, &mut generator(seed, 2)),
        (Mode::Random, RandomRule::Bernoulli) => bernoulli(good, &mut numpy_generator(seed)),
    }
}

/// The complement among the units that could be pruned: a search for heads says nothing about FFNs.
fn inverse(method: Method, good: &Mask) -> Mask {
    let complement = good.complement();
    match method {
        Method::HeadsFfns => complement,
        Method::Heads => Mask { ffns: good.ffns.clone(), ..complement },
        Method::Ffns => Mask { heads: good.heads.clone(), ..complement },
    }
}

/// Units that a bad mask has to take from the good one, when the pruned ones do not reach its size
/// (Prasanna et al. 2020, in code): max(0, kept - pruned).
pub fn bad_from_good(kept: usize, total: usize) -> usize {
    kept.saturating_sub(total - kept)
}

/// As many units as `good`, heads and FFNs apart: all pruned ones and a random rest of the good ones, or a
/// random subset of the pruned ones where these suffice (Prasanna et al. 2020, in code).
pub fn bad(good: &Mask, generator: &mut Mt19937) -> Mask {
    draw(good, |flags| {
        let (kept, pruned): (Vec<usize>, Vec<usize>) = (0..flags.len()).partition(|index| flags[*index]);
        let from_good = bad_from_good(kept.len(), flags.len());
        let mut chosen = generator.sample(pruned, kept.len() - from_good);
        chosen.extend(generator.sample(kept, from_good));
        flags_of(&chosen, flags.len())
    })
}

/// As many heads and as many FFNs as `good`, every such mask equally likely.
pub fn random(good: &Mask, generator: &mut Mt19937) -> Mask {
    draw(good, |flags| {
        let kept = flags.iter().filter(|kept| **kept).count();
        flags_of(&generator.sample((0..flags.len()).collect(), kept), flags.len())
    })
}

/// Each unit independently with the probability kept / total of its kind, heads before FFNs, one uniform
/// double each (Prasanna et al. 2020, in code).
pub fn bernoulli(good: &Mask, generator: &mut Mt19937) -> Mask {
    draw(good, |flags| {
        let probability = f64::from(keep_probability(flags));
        flags.iter().map(|_| generator.next_f64() < probability).collect()
    })
}

/// Kept / total in single precision, as the mean of a float32 mask is computed by NumPy.
pub fn keep_probability(flags: &[bool]) -> f32 {
    flags.iter().filter(|kept| **kept).count() as f32 / flags.len() as f32
}

/// Draws the heads first, then the FFNs.
fn draw(good: &Mask, mut kind: impl FnMut(&[bool]) -> Vec<bool>) -> Mask {
    let heads = kind(&good.heads);
    let ffns = kind(&good.ffns);
    Mask { heads, ffns, ..good.clone() }
}

fn flags_of(chosen: &[usize], total: usize) -> Vec<bool> {
    let mut flags = vec![false; total];
    chosen.iter().for_each(|index| flags[*index] = true);
    flags
}

/// Streams of one seed that differ by mode, so that bad and random masks are not correlated.
fn generator(seed: u64, stream: u32) -> Mt19937 {
    Mt19937::from_key(&[seed as u32, (seed >> 32) as u32, stream])
}

/// The stream of `numpy.random.seed(seed)`, which takes integers below 2³²; larger ones by their two words.
fn numpy_generator(seed: u64) -> Mt19937 {
    match u32::try_from(seed) {
        Ok(seed) => Mt19937::new(seed),
        Err(_) => Mt19937::from_key(&[seed as u32, (seed >> 32) as u32]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ticket with the given numbers of survivors, spread over a 6 × 12 network.
    fn ticket(heads_kept: usize, ffns_kept: usize) -> Mask {
        let mut mask = Mask::full(6, 12);
        for (i, kept) in mask.heads.iter_mut().enumerate() {
            *kept = (i * 35) % 72 < heads_kept;
        }
        for (i, kept) in mask.ffns.iter_mut().enumerate() {
            *kept = (i * 5) % 6 < ffns_kept;
        }
        assert_eq!((mask.heads_kept(), mask.ffns_kept()), (heads_kept, ffns_kept));
        mask
    }

    fn shared(a: &Mask, b: &Mask) -> (usize, usize) {
        let both = a.intersect(b).unwrap();
        (both.heads_kept(), both.ffns_kept())
    }

    #[test]
    fn good_full_and_inverse_are_drawn_from_nothing() {
        let good = ticket(50, 4);
        assert_eq!(control(Mode::Good, Method::HeadsFfns, &good, 1, RandomRule::Exact), good);
        assert_eq!(control(Mode::Full, Method::HeadsFfns, &good, 1, RandomRule::Exact), Mask::full(6, 12));
        let inverse = control(Mode::Inverse, Method::HeadsFfns, &good, 1, RandomRule::Exact);
        assert_eq!((inverse.heads_kept(), inverse.ffns_kept()), (22, 2));
        assert_eq!(shared(&good, &inverse), (0, 0));
    }

    #[test]
    fn the_inverse_leaves_the_kind_that_was_not_searched_as_it_is() {
        for (method, good, kept) in
            [(Method::Heads, ticket(50, 6), (22, 6)), (Method::Ffns, ticket(72, 4), (72, 2))]
        {
            let inverse = control(Mode::Inverse, method, &good, 1, RandomRule::Exact);
            assert_eq!((inverse.heads_kept(), inverse.ffns_kept()), kept, "{method}");
        }
    }

    #[test]
    fn bad_takes_all_pruned_units_and_fills_up_from_good_when_they_do_not_suffice() {
        let good = ticket(50, 4);
        let bad = control(Mode::Bad, Method::HeadsFfns, &good, 42, RandomRule::Exact);
        assert_eq!((bad.heads_kept(), bad.ffns_kept()), (50, 4));
        assert_eq!(shared(&good, &bad), (50 - 22, 4 - 2));
        assert_eq!(shared(&good.complement(), &bad), (22, 2));
    }

    #[test]
    fn bad_is_a_subset_of_the_pruned_units_when_they_suffice() {
        let good = ticket(20, 3);
        let bad = control(Mode::Bad, Method::HeadsFfns, &good, 42, RandomRule::Exact);
        assert_eq!((bad.heads_kept(), bad.ffns_kept()), (20, 3));
        assert_eq!(shared(&good, &bad), (0, 0));
    }

    #[test]
    fn drawn_controls_have_the_tickets_size_for_every_size_and_seed() {
        for heads in 0..=72 {
            for ffns in [0, 1, 3, 5, 6] {
                let good = ticket(heads, ffns);
                for seed in [0, 1337, u64::MAX] {
                    for mode in [Mode::Bad, Mode::Random] {
                        let mask = control(mode, Method::HeadsFfns, &good, seed, RandomRule::Exact);
                        assert_eq!((mask.heads_kept(), mask.ffns_kept()), (heads, ffns), "{mode} {seed}");
                        assert_eq!((mask.heads.len(), mask.ffns.len()), (72, 6));
                    }
                    let mask = control(Mode::Random, Method::HeadsFfns, &good, seed, RandomRule::Bernoulli);
                    assert_eq!((mask.heads.len(), mask.ffns.len()), (72, 6));
                }
            }
        }
    }

    #[test]
    fn a_seed_always_draws_the_same_mask_and_seeds_draw_different_ones() {
        let good = ticket(40, 4);
        for (mode, rule) in [
            (Mode::Bad, RandomRule::Exact),
            (Mode::Random, RandomRule::Exact),
            (Mode::Random, RandomRule::Bernoulli),
        ] {
            let seeds = [1337, 42, 86, 71, 166, 1337 + (1 << 32)];
            let masks: Vec<Mask> =
                seeds.iter().map(|seed| control(mode, Method::HeadsFfns, &good, *seed, rule)).collect();
            for (i, a) in masks.iter().enumerate() {
                assert_eq!(*a, control(mode, Method::HeadsFfns, &good, seeds[i], rule));
                assert!(masks[i + 1..].iter().all(|b| a != b), "{mode} {rule:?} seed {}", seeds[i]);
            }
        }
    }

    #[test]
    fn bernoulli_matches_the_tickets_size_in_expectation_only() {
        let good = ticket(36, 3);
        let sizes: Vec<usize> = (0..2000)
            .map(|seed| {
                control(Mode::Random, Method::HeadsFfns, &good, seed, RandomRule::Bernoulli).heads_kept()
            })
            .collect();
        let mean = sizes.iter().sum::<usize>() as f64 / 2000.0;
        // The standard deviation of one size is 4.24, of the mean 0.095.
        assert!((mean - 36.0).abs() < 0.5, "{mean}");
        assert!(sizes.iter().any(|size| *size != 36));
    }

    #[test]
    fn a_full_or_empty_ticket_has_full_or_empty_bernoulli_draws() {
        for good in [ticket(72, 6), ticket(0, 0)] {
            assert_eq!(control(Mode::Random, Method::HeadsFfns, &good, 5, RandomRule::Bernoulli), good);
        }
    }
}
