//! Sums per-example gate gradients into raw importances, by all rules.

use super::normalise::RawImportance;
use crate::prune::probe::GateSums;

/// What is summed of the gate gradients g = ∂L/∂ξ: where their absolute value is taken, or that they are squared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbsoluteOf {
    Tokens,
    Examples,
    BatchMeans,
    /// The sums of the batch means so far, after each batch.
    RunningSums,
    /// Of examples, g² in the place of |g|.
    Squares,
    /// Tokens; and these sums, not zeroed between batches, are added up after each batch.
    RunningTokens,
}

impl AbsoluteOf {
    /// What one example gives: to the sum, or to its batch. `sum` is Σ g over its tokens and `token_abs` Σ |g|.
    pub fn of_example(self, sum: f64, token_abs: f64) -> f64 {
        match self {
            Self::Tokens | Self::RunningTokens => token_abs,
            Self::Examples => sum.abs(),
            Self::Squares => sum * sum,
            Self::BatchMeans | Self::RunningSums => sum,
        }
    }

    fn knows_batches(self) -> bool {
        matches!(self, Self::BatchMeans | Self::RunningSums | Self::RunningTokens)
    }
}

/// Takes the scoring data's gate gradients example by example, in data order.
///
/// The gradients are those of each example's own loss, not of a batch mean; what a "batch" means to the
/// last three rules is set here and does not depend on how examples were computed.
/// Sums run in the order of the calls, so the result depends on nothing but that order. A NaN (unit absent)
/// stays NaN.
#[derive(Debug, Clone)]
pub struct Accumulator {
    rule: AbsoluteOf,
    batch_size: usize,
    /// Examples in the batch at hand.
    in_batch: usize,
    heads: Sums,
    ffns: Sums,
}

/// The sums of one kind of unit, one value per unit.
#[derive(Debug, Clone)]
struct Sums {
    /// The importance so far.
    total: Vec<f64>,
    /// Σ g over the batch at hand, or of its tokens' |g|.
    batch: Vec<f64>,
    /// Σ over finished batches of the mean of that.
    running: Vec<f64>,
}

impl Accumulator {
    /// `heads` is per layer. `batch_size` counts examples (64 as published); 0 is taken as 1.
    pub fn new(rule: AbsoluteOf, layers: usize, heads: usize, batch_size: usize) -> Self {
        Self {
            rule,
            batch_size: batch_size.max(1),
            in_batch: 0,
            heads: Sums::new(layers * heads),
            ffns: Sums::new(layers),
        }
    }

    pub fn add_example(&mut self, example: &GateSums) {
        self.heads.add(self.rule, &example.heads, &example.heads_abs);
        self.ffns.add(self.rule, &example.ffns, &example.ffns_abs);
        self.in_batch += 1;
        if self.in_batch == self.batch_size {
            self.finish_batch();
        }
    }

    /// The raw importances. A last batch that is not full counts with the mean over its own size.
    pub fn finish(mut self) -> RawImportance {
        self.finish_batch();
        RawImportance { heads: self.heads.total, ffns: self.ffns.total }
    }

    fn finish_batch(&mut self) {
        if self.in_batch > 0 {
            self.heads.finish_batch(self.rule, self.in_batch);
            self.ffns.finish_batch(self.rule, self.in_batch);
            self.in_batch = 0;
        }
    }
}

impl Sums {
    fn new(units: usize) -> Self {
        Self { total: vec![0.0; units], batch: vec![0.0; units], running: vec![0.0; units] }
    }

    fn add(&mut self, rule: AbsoluteOf, sums: &[f64], token_abs: &[f64]) {
        debug_assert_eq!((sums.len(), token_abs.len()), (self.total.len(), self.total.len()));
        let into = if rule.knows_batches() { &mut self.batch } else { &mut self.total };
        let examples = sums.iter().zip(token_abs).map(|(sum, abs)| rule.of_example(*sum, *abs));
        into.iter_mut().zip(examples).for_each(|(total, example)| *total += example);
    }

    fn finish_batch(&mut self, rule: AbsoluteOf, examples: usize) {
        for unit in 0..self.total.len() {
            let mean = std::mem::take(&mut self.batch[unit]) / examples as f64;
            self.running[unit] += mean;
            self.total[unit] += match rule {
                AbsoluteOf::Tokens | AbsoluteOf::Examples | AbsoluteOf::Squares => 0.0,
                AbsoluteOf::BatchMeans => mean.abs(),
                AbsoluteOf::RunningSums | AbsoluteOf::RunningTokens => self.running[unit].abs(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example of one token.
    fn alike(heads: &[f64], ffns: &[f64]) -> GateSums {
        let (heads, ffns) = (heads.to_vec(), ffns.to_vec());
        GateSums { heads_abs: heads.clone(), heads, ffns_abs: ffns.clone(), ffns }
    }

    /// One layer, two heads, five examples in batches of two: the last batch holds one.
    ///
    /// Head 0: g = 1, -3 | 4, 2 | -6, batch means -1, 3, -6, running sums -1, 2, -4.
    /// Head 1: g = 0.5 five times, batch means 0.5, running sums 0.5, 1, 1.5.
    /// FFN:    g = 2, 2 | -2, -4 | 1, batch means 2, -3, 1, running sums 2, -1, 0.
    fn importance(rule: AbsoluteOf) -> RawImportance {
        let mut accumulator = Accumulator::new(rule, 1, 2, 2);
        let head0 = [1., -3., 4., 2., -6.];
        let head0_token_abs = [1., 5., 4., 8., 6.];
        let ffn = [2., 2., -2., -4., 1.];
        let ffn_token_abs = [2., 4., 2., 6., 3.];
        for i in 0..5 {
            accumulator.add_example(&GateSums {
                heads: vec![head0[i], 0.5],
                heads_abs: vec![head0_token_abs[i], 1.5],
                ffns: vec![ffn[i]],
                ffns_abs: vec![ffn_token_abs[i]],
            });
        }
        accumulator.finish()
    }

    #[test]
    fn the_token_rule_sums_absolute_token_gradients() {
        let raw = importance(AbsoluteOf::Tokens);
        assert_eq!((raw.heads, raw.ffns), (vec![24.0, 7.5], vec![17.0]));
    }

    #[test]
    fn the_example_rule_sums_absolute_example_gradients() {
        let raw = importance(AbsoluteOf::Examples);
        assert_eq!((raw.heads, raw.ffns), (vec![16.0, 2.5], vec![11.0]));
    }

    #[test]
    fn the_squares_are_those_of_the_examples() {
        let raw = importance(AbsoluteOf::Squares);
        assert_eq!((raw.heads, raw.ffns), (vec![66.0, 1.25], vec![29.0]));
    }

    #[test]
    fn the_batch_rule_takes_the_last_batch_over_its_own_size() {
        let raw = importance(AbsoluteOf::BatchMeans);
        assert_eq!((raw.heads, raw.ffns), (vec![10.0, 1.5], vec![6.0]));
    }

    #[test]
    fn the_cumulative_rule_sums_absolute_running_sums() {
        let raw = importance(AbsoluteOf::RunningSums);
        assert_eq!((raw.heads, raw.ffns), (vec![7.0, 3.0], vec![3.0]));
    }

    #[test]
    fn the_cumulative_token_rule_counts_batch_t_of_t_batches_that_many_times_from_the_end() {
        let raw = importance(AbsoluteOf::RunningTokens);
        // Means of the batches' Σ |g| over tokens: 3, 6, 6 for head 0, 1.5 each for head 1, 3, 4, 3 for the FFN.
        assert_eq!(
            (raw.heads, raw.ffns),
            (vec![3.0 * 3.0 + 2.0 * 6.0 + 6.0, 9.0], vec![3.0 * 3.0 + 2.0 * 4.0 + 3.0])
        );
        // Directly: Σ_t (T - t + 1) · mean over batch t of Σ |g| over tokens.
        let tokens = |i: usize| (i * 29 % 17) as f64 / 4.0;
        for (examples, size) in [(1, 1), (7, 3), (64, 32), (70, 32)] {
            let mut accumulator = Accumulator::new(AbsoluteOf::RunningTokens, 1, 1, size);
            (0..examples).for_each(|i| accumulator.add_example(&alike(&[tokens(i)], &[tokens(i) / 2.0])));
            let all: Vec<f64> = (0..examples).map(tokens).collect();
            let batches = all.chunks(size).map(|batch| batch.iter().sum::<f64>() / batch.len() as f64);
            let direct: f64 = batches.rev().zip(1..).map(|(mean, times)| f64::from(times) * mean).sum();
            let raw = accumulator.finish();
            assert!((raw.heads[0] - direct).abs() < 1e-12 * direct.max(1.0), "{} {direct}", raw.heads[0]);
            assert!((raw.ffns[0] - direct / 2.0).abs() < 1e-12 * direct.max(1.0));
        }
    }

    #[test]
    fn batches_of_one_make_the_batch_rule_the_example_rule() {
        let gradients = [[1.0, -2.0], [-3.0, 0.5], [0.25, 4.0]];
        let run = |rule, batch_size| {
            let mut accumulator = Accumulator::new(rule, 1, 2, batch_size);
            for g in &gradients {
                accumulator.add_example(&alike(g, &g[..1]));
            }
            accumulator.finish()
        };
        assert_eq!(run(AbsoluteOf::BatchMeans, 1), run(AbsoluteOf::Examples, 64));
    }

    #[test]
    fn a_full_last_batch_is_counted_once() {
        let mut accumulator = Accumulator::new(AbsoluteOf::RunningSums, 1, 1, 2);
        for g in [1.0, 3.0] {
            accumulator.add_example(&alike(&[g], &[g]));
        }
        assert_eq!(accumulator.finish().heads, [2.0]);
    }

    #[test]
    fn an_absent_unit_stays_not_a_number_and_disturbs_no_other() {
        for rule in [
            AbsoluteOf::Tokens,
            AbsoluteOf::Examples,
            AbsoluteOf::BatchMeans,
            AbsoluteOf::RunningSums,
            AbsoluteOf::Squares,
            AbsoluteOf::RunningTokens,
        ] {
            let mut accumulator = Accumulator::new(rule, 1, 2, 4);
            accumulator.add_example(&alike(&[f64::NAN, 2.0], &[f64::NAN]));
            let raw = accumulator.finish();
            assert!(raw.heads[0].is_nan() && raw.ffns[0].is_nan());
            assert_eq!(raw.heads[1], if rule == AbsoluteOf::Squares { 4.0 } else { 2.0 });
        }
    }
}
