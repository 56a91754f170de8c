//! The sparsity of gradual pruning over a training (Zhu and Gupta 2017, equation 1; Kurtic and Alistarh 2022, GMP★).

use super::PruneRules;

/// When weights are pruned, and to which share: s(t) = s₁ + (s₀ − s₁) (1 − (t − t₀) / (t₁ − t₀))³.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cubic {
    /// s₀ and s₁: the shares that the first and the last pruning reach.
    shares: [f64; 2],
    /// t₀ and t₁: the steps, counted from 0, before which they are.
    steps: [u64; 2],
    /// Steps from one pruning to the next.
    every: u64,
}

/// What the first pruning leaves to the others where nothing is said: published are 0.7 of a final 0.9.
const USUAL: f64 = 7.0 / 9.0;

impl Cubic {
    /// Up to the share `last`, in a training of so many steps and epochs of so many.
    pub fn new(rules: &PruneRules, last: f64, total: u64, per_epoch: u64) -> Self {
        let at = |part: f64| ((part * total as f64).round() as u64).min(total.saturating_sub(1));
        let begin = at(rules.begin);
        Self {
            shares: [rules.initial.unwrap_or(USUAL * last).min(last), last],
            steps: [begin, at(rules.end).max(begin)],
            every: (per_epoch / rules.frequency.max(1) as u64).max(1),
        }
    }

    /// Whether weights are pruned before this step.
    pub fn is_due(&self, step: u64) -> bool {
        let [begin, end] = self.steps;
        (begin..=end).contains(&step) && ((step - begin).is_multiple_of(self.every) || step == end)
    }

    /// The share that a pruning before this step reaches.
    pub fn share(&self, step: u64) -> f64 {
        let ([first, last], [begin, end]) = (self.shares, self.steps);
        if step >= end {
            return last;
        }
        let left = 1.0 - step.saturating_sub(begin) as f64 / (end - begin) as f64;
        last + (first - last) * left.powi(3)
    }

    /// The share of a model that has taken so many steps; none before the first pruning.
    pub fn reached(&self, steps: u64) -> Option<f64> {
        let [begin, end] = self.steps;
        match steps {
            steps if steps <= begin => None,
            steps if steps > end => Some(self.shares[1]),
            steps => Some(self.share(begin + (steps - 1 - begin) / self.every * self.every)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn prunings_and_shares_are_those_of_the_golden_script() {
        let golden: Vec<Value> = serde_json::from_str(include_str!("../../tests/golden/gmp.json")).unwrap();
        assert!(golden.len() >= 4);
        for case in golden {
            let number = |key: &str| case[key].as_f64();
            let rules = PruneRules {
                initial: number("initial"),
                begin: number("begin").unwrap(),
                end: number("end").unwrap(),
                frequency: number("frequency").unwrap() as usize,
                ..PruneRules::default()
            };
            let [total, per_epoch] = ["total", "per_epoch"].map(|key| number(key).unwrap() as u64);
            let cubic = Cubic::new(&rules, number("final").unwrap(), total, per_epoch);
            let due: Vec<u64> = (0..total).filter(|step| cubic.is_due(*step)).collect();
            let expected: Vec<(u64, f64)> = serde_json::from_value(case["prunings"].clone()).unwrap();
            assert_eq!(due, expected.iter().map(|(step, _)| *step).collect::<Vec<_>>(), "{case}");
            for (step, share) in &expected {
                assert!(
                    (cubic.share(*step) - share).abs() < 1e-12,
                    "{step}: {share} and {}",
                    cubic.share(*step)
                );
            }
            // What a training that goes on has reached is what its last pruning left.
            for steps in 0..=total {
                let before = expected.iter().rev().find(|(step, _)| *step < steps).map(|(_, share)| *share);
                let reached = cubic.reached(steps);
                assert_eq!(reached.is_some(), before.is_some(), "{steps}");
                assert!((reached.unwrap_or(0.0) - before.unwrap_or(0.0)).abs() < 1e-12, "{steps}");
            }
            assert!(due.iter().zip(&due[1..]).all(|(a, b)| cubic.share(*a) <= cubic.share(*b)));
        }
    }

    #[test]
    fn a_training_of_one_step_prunes_at_once() {
        let cubic = Cubic::new(&PruneRules::default(), 0.5, 1, 1);
        assert!(cubic.is_due(0) && !cubic.is_due(1));
        assert_eq!((cubic.share(0), cubic.reached(0), cubic.reached(1)), (0.5, None, Some(0.5)));
    }
}
