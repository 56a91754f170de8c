//! The subnetworks that a good ticket is compared with. A control is a file of its own and a variant of [`Mode`].

pub mod bad;
mod draw;
mod full;
mod good;
mod inverse;
pub mod random;

pub use draw::{Control, Ticket};
pub use random::RandomRule;

use crate::choice::choices;
use serde::{Deserialize, Serialize};

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

/// How controls are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlRules {
    /// How [`Mode::Random`] draws.
    pub random: RandomRule,
}

impl Default for ControlRules {
    fn default() -> Self {
        Self { random: RandomRule::Exact }
    }
}

impl Mode {
    pub fn control(self, rules: ControlRules) -> Box<dyn Control> {
        match self {
            Self::Good => Box::new(good::Good),
            Self::Bad => Box::new(bad::Bad),
            Self::Random => Box::new(random::Random(rules.random)),
            Self::Inverse => Box::new(inverse::Inverse),
            Self::Full => Box::new(full::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{Kind, Mask, Method};

    fn control(mode: Mode, method: Method, good: &Mask, seed: u64, random: RandomRule) -> Mask {
        let ticket = Ticket { mask: good, searched: method.kinds() };
        mode.control(ControlRules { random }).draw(&Mask::full(6, 12), &[ticket], seed).unwrap()
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
        let ticket = Ticket { mask: &good, searched: Method::HeadsFfns.kinds() };
        let rules = ControlRules { random: RandomRule::Exact };
        for mode in [Mode::Good, Mode::Bad, Mode::Random, Mode::Inverse] {
            let control = mode.control(rules);
            assert_eq!(control.tickets(), 1);
            assert!(control.draw(&whole, &[], 1).is_err() && control.draw(&whole, &[ticket; 2], 1).is_err());
        }
        let full = Mode::Full.control(rules);
        assert_eq!((full.tickets(), full.draw(&whole, &[], 1).unwrap()), (0, whole));
    }
}
