//! The subnetworks that a good ticket is compared with. A control is a file of its own and a variant of [`Mode`].

pub mod bad;
mod draw;
mod full;
mod good;
mod inverse;
pub mod random;
mod super_survivors;

pub use draw::{Control, Ticket};
pub use random::{RandomRule, WeightDraw};

use crate::choice::choices;
use serde::{Deserialize, Serialize};
use super_survivors::SuperSurvivors;

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
        /// the units that survive the searches of all seeds (control.seeds)
        SuperGood = "super-good",
        /// as many, from those that all of these searches prune first
        SuperBad = "super-bad",
        /// as many, from those on which these searches disagree first
        SuperRandom = "super-random",
        /// the whole model once more
        Full = "full",
    }
}

/// How controls are drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlRules {
    /// How [`Mode::Random`] draws units.
    pub random: RandomRule,
    /// How it draws single weights.
    pub weights: WeightDraw,
    /// Whose tickets super-survivors are of.
    pub seeds: Vec<u64>,
}

impl Default for ControlRules {
    fn default() -> Self {
        let seeds = vec![1337, 42, 86, 71, 166];
        Self { random: RandomRule::Exact, weights: WeightDraw::Global, seeds }
    }
}

impl Mode {
    pub fn control(self, rules: &ControlRules) -> Box<dyn Control> {
        match self {
            Self::Good => Box::new(good::Good),
            Self::Bad => Box::new(bad::Bad),
            Self::Random => Box::new(random::Random(rules.random, rules.weights)),
            Self::Inverse => Box::new(inverse::Inverse),
            Self::SuperGood => Box::new(SuperSurvivors::Good),
            Self::SuperBad => Box::new(SuperSurvivors::Bad),
            Self::SuperRandom => Box::new(SuperSurvivors::Random),
            Self::Full => Box::new(full::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{Kind, Mask, Method, Site};

    fn control(mode: Mode, method: Method, good: &Mask, seed: u64, random: RandomRule) -> Mask {
        let ticket = Ticket { mask: good, opposite: None, searched: method.kinds() };
        mode.control(&ControlRules { random, ..ControlRules::default() })
            .draw(&Mask::full(6, 12), &[ticket], seed)
            .unwrap()
    }

    /// A ticket with the given numbers of survivors, spread over a 6 × 12 network.
    fn ticket(heads_kept: usize, ffns_kept: usize) -> Mask {
        let spread = |n: usize, step: usize, kept: usize| -> Vec<bool> {
            (0..n).map(|i| (i * step) % n < kept).collect()
        };
        let mask = Mask::full(6, 12)
            .with_flags(Kind::Heads, &spread(72, 35, heads_kept))
            .with_flags(Kind::Ffns, &spread(6, 5, ffns_kept));
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
                        assert_eq!((mask.heads_total(), mask.ffns_total()), (72, 6));
                    }
                    let mask = control(Mode::Random, Method::HeadsFfns, &good, seed, RandomRule::Bernoulli);
                    assert_eq!((mask.heads_total(), mask.ffns_total()), (72, 6));
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

    #[test]
    fn a_control_is_drawn_from_as_many_tickets_as_it_needs() {
        let (whole, good) = (Mask::full(6, 12), ticket(50, 4));
        let ticket = Ticket { mask: &good, opposite: None, searched: Method::HeadsFfns.kinds() };
        let rules = ControlRules::default();
        for mode in [Mode::Good, Mode::Bad, Mode::Random, Mode::Inverse] {
            let control = mode.control(&rules);
            assert!(!control.of_seeds());
            assert!(control.draw(&whole, &[], 1).is_err() && control.draw(&whole, &[ticket; 2], 1).is_err());
        }
        let full = Mode::Full.control(&rules);
        assert_eq!(full.draw(&whole, &[], 1).unwrap(), whole);
    }

    #[test]
    fn what_a_search_prunes_last_is_bad_where_it_says_so() {
        let (good, opposite) = (ticket(50, 4), ticket(50, 4).complement());
        let given = Ticket { mask: &good, opposite: Some(&opposite), searched: Method::OneShot.kinds() };
        let bad = Mode::Bad.control(&ControlRules::default()).draw(&Mask::full(6, 12), &[given], 1).unwrap();
        assert_eq!(bad, opposite);
    }

    #[test]
    fn super_survivors_are_those_of_all_seeds_and_their_controls_take_from_them_last() {
        let masks = [ticket(40, 3), ticket(40, 3).complement(), ticket(60, 5)];
        for chosen in [&masks[..1], &masks[2..], &[masks[0].clone(), masks[2].clone()], &masks[1..]] {
            let tickets: Vec<Ticket> = chosen
                .iter()
                .map(|mask| Ticket { mask, opposite: None, searched: Method::HeadsFfns.kinds() })
                .collect();
            let of = |mode: Mode, seed| {
                mode.control(&ControlRules::default()).draw(&Mask::full(6, 12), &tickets, seed).unwrap()
            };
            let good = of(Mode::SuperGood, 1);
            let expected = chosen.iter().cloned().reduce(|a, b| a.intersect(&b).unwrap()).unwrap();
            assert_eq!(good, expected);
            let complements = chosen.iter().map(Mask::complement);
            let never_mask = complements.reduce(|a, b| a.intersect(&b).unwrap()).unwrap();
            let some = good.union(&never_mask).unwrap().complement();
            for kind in [Kind::Heads, Kind::Ffns] {
                let size = good.count(kind).kept;
                let never = &never_mask;
                let shared = |mode, with: &Mask| of(mode, 1).intersect(with).unwrap().count(kind).kept;
                assert_eq!(of(Mode::SuperBad, 1).count(kind).kept, size);
                assert_eq!(of(Mode::SuperRandom, 1).count(kind).kept, size);
                let (never, some, total) =
                    (never.count(kind).kept, some.count(kind).kept, good.count(kind).total);
                assert_eq!(shared(Mode::SuperBad, &never_mask), size.min(never));
                if never + some >= size {
                    assert_eq!(shared(Mode::SuperBad, &good), 0);
                }
                if total >= 3 * size {
                    assert_eq!(shared(Mode::SuperRandom, &good.union(&of(Mode::SuperBad, 1)).unwrap()), 0);
                }
            }
            assert_eq!(of(Mode::SuperBad, 1), of(Mode::SuperBad, 1));
        }
    }

    #[test]
    fn drawn_with_replacement_fewer_are_pruned_as_published() {
        // 115 of 144 heads and 8 of 12 FFNs were asked for: 79 and 6 on average.
        let good =
            Mask::full(12, 12).with_flags(Kind::Heads, &[[true; 29].as_slice(), &[false; 115]].concat());
        let good = good.with_flags(Kind::Ffns, &[[true; 4].as_slice(), &[false; 8]].concat());
        let rules = ControlRules { random: RandomRule::Replacement, ..ControlRules::default() };
        let ticket = Ticket { mask: &good, opposite: None, searched: Method::OneShot.kinds() };
        let draw = |seed| Mode::Random.control(&rules).draw(&Mask::full(12, 12), &[ticket], seed).unwrap();
        let masks: Vec<Mask> = (0..500).map(draw).collect();
        let mean = |kind| {
            let pruned = |mask: &Mask| mask.count(kind).total - mask.count(kind).kept;
            masks.iter().map(pruned).sum::<usize>() as f64 / 500.0
        };
        assert!((mean(Kind::Heads) - 79.2).abs() < 1.0, "{}", mean(Kind::Heads));
        assert!((mean(Kind::Ffns) - 6.0).abs() < 0.2, "{}", mean(Kind::Ffns));
    }

    #[test]
    fn random_weights_are_as_many_as_the_ticket_prunes_in_all_or_of_each_tensor() {
        let site = |n: usize| Site::Weights(format!("t{n}"));
        let flags = |len: usize, kept: usize| (0..len).map(|at| at < kept).collect();
        let good = Mask::full(2, 2).with(site(0), flags(1000, 900)).with(site(1), flags(3000, 300));
        let ticket = Ticket { mask: &good, opposite: None, searched: Method::Magnitude.kinds() };
        let draw = |weights, seed| {
            let rules = ControlRules { weights, ..ControlRules::default() };
            let mask = Mode::Random.control(&rules).draw(&Mask::full(2, 2), &[ticket], seed).unwrap();
            let kept = [0, 1].map(|n| mask.get(&site(n)).unwrap().count_ones());
            (mask, kept)
        };
        assert_eq!(draw(WeightDraw::Layer, 1).1, [900, 300]);
        assert_eq!(draw(WeightDraw::Even, 1).1, [300, 900]);
        let (global, kept) = draw(WeightDraw::Global, 1);
        assert_eq!(kept.iter().sum::<usize>(), 1200);
        assert!(kept[0].abs_diff(300) < 60 && kept != [300, 900]);
        assert_eq!((&global, &global), (&draw(WeightDraw::Global, 1).0, &draw(WeightDraw::Global, 1).0));
        assert_ne!(global, draw(WeightDraw::Global, 2).0);
    }
}
