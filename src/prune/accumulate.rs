//! Sums per-example gate gradients into raw importances, for all four estimators.

use super::importance::{Estimator, RawImportance};

/// Takes the scoring data's gate gradients example by example, in data order.
///
/// The gradients are those of each example's own loss, not of a batch mean; what a "batch" means to the
/// estimators `batch` and `cumulative` is set here and does not depend on how examples were computed.
/// Sums run in the order of the calls, so the result depends on nothing but that order. A NaN (unit absent)
/// stays NaN.
#[derive(Debug, Clone)]
pub struct Accumulator {
    estimator: Estimator,
    layers: usize,
    heads_per_layer: usize,
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
    /// Σ g over the batch at hand.
    batch: Vec<f64>,
    /// Σ over finished batches of their mean g.
    running: Vec<f64>,
}

impl Accumulator {
    /// `heads` is per layer. `batch_size` counts examples (64 as published); 0 is taken as 1.
    pub fn new(estimator: Estimator, layers: usize, heads: usize, batch_size: usize) -> Self {
        Self {
            estimator,
            layers,
            heads_per_layer: heads,
            batch_size: batch_size.max(1),
            in_batch: 0,
            heads: Sums::new(layers * heads),
            ffns: Sums::new(layers),
        }
    }

    /// Adds one example: per unit Σ_t g_t and Σ_t |g_t| over its tokens t, `layers · heads` and `layers` long.
    pub fn add_example(
        &mut self,
        head_sums: &[f64],
        head_token_abs: &[f64],
        ffn_sums: &[f64],
        ffn_token_abs: &[f64],
    ) {
        self.heads.add(self.estimator, head_sums, head_token_abs);
        self.ffns.add(self.estimator, ffn_sums, ffn_token_abs);
        self.in_batch += 1;
        if self.in_batch == self.batch_size {
            self.finish_batch();
        }
    }

    /// The raw importances. A last batch that is not full counts with the mean over its own size.
    pub fn finish(mut self) -> RawImportance {
        self.finish_batch();
        RawImportance {
            layers: self.layers,
            heads_per_layer: self.heads_per_layer,
            heads: self.heads.total,
            ffns: self.ffns.total,
        }
    }

    fn finish_batch(&mut self) {
        if self.in_batch > 0 {
            self.heads.finish_batch(self.estimator, self.in_batch);
            self.ffns.finish_batch(self.estimator, self.in_batch);
            self.in_batch = 0;
        }
    }
}

impl Sums {
    fn new(units: usize) -> Self {
        Self { total: vec![0.0; units], batch: vec![0.0; units], running: vec![0.0; units] }
    }

    fn add(&mut self, estimator: Estimator, sums: &[f64], token_abs: &[f64]) {
        debug_assert_eq!((sums.len(), token_abs.len()), (self.total.len(), self.total.len()));
        match estimator {
            Estimator::Token => self.total.iter_mut().zip(token_abs).for_each(|(t, g)| *t += g),
            Estimator::Example => self.total.iter_mut().zip(sums).for_each(|(t, g)| *t += g.abs()),
            Estimator::Batch | Estimator::Cumulative => {
                self.batch.iter_mut().zip(sums).for_each(|(b, g)| *b += g)
            }
        }
    }

    fn finish_batch(&mut self, estimator: Estimator, examples: usize) {
        for unit in 0..self.total.len() {
            let mean = std::mem::take(&mut self.batch[unit]) / examples as f64;
            self.running[unit] += mean;
            self.total[unit] += match estimator {
                Estimator::Token | Estimator::Example => 0.0,
                Estimator::Batch => mean.abs(),
                Estimator::Cumulative => self.running[unit].abs(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One layer, two heads, five examples in batches of two: the last batch holds one.
    ///
    /// Head 0: g = 1, -3 | 4, 2 | -6, batch means -1, 3, -6, running sums -1, 2, -4.
    /// Head 1: g = 0.5 five times, batch means 0.5, running sums 0.5, 1, 1.5.
    /// FFN:    g = 2, 2 | -2, -4 | 1, batch means 2, -3, 1, running sums 2, -1, 0.
    fn importance(estimator: Estimator) -> RawImportance {
        let mut accumulator = Accumulator::new(estimator, 1, 2, 2);
        let head0 = [1., -3., 4., 2., -6.];
        let head0_token_abs = [1., 5., 4., 8., 6.];
        let ffn = [2., 2., -2., -4., 1.];
        let ffn_token_abs = [2., 4., 2., 6., 3.];
        for i in 0..5 {
            accumulator.add_example(
                &[head0[i], 0.5],
                &[head0_token_abs[i], 1.5],
                &[ffn[i]],
                &[ffn_token_abs[i]],
            );
        }
        accumulator.finish()
    }

    #[test]
    fn the_token_estimator_sums_absolute_token_gradients() {
        let raw = importance(Estimator::Token);
        assert_eq!((raw.heads, raw.ffns), (vec![24.0, 7.5], vec![17.0]));
    }

    #[test]
    fn the_example_estimator_sums_absolute_example_gradients() {
        let raw = importance(Estimator::Example);
        assert_eq!((raw.heads, raw.ffns), (vec![16.0, 2.5], vec![11.0]));
    }

    #[test]
    fn the_batch_estimator_takes_the_last_batch_over_its_own_size() {
        let raw = importance(Estimator::Batch);
        assert_eq!((raw.heads, raw.ffns), (vec![10.0, 1.5], vec![6.0]));
    }

    #[test]
    fn the_cumulative_estimator_sums_absolute_running_sums() {
        let raw = importance(Estimator::Cumulative);
        assert_eq!((raw.heads, raw.ffns), (vec![7.0, 3.0], vec![3.0]));
        assert_eq!((raw.layers, raw.heads_per_layer), (1, 2));
    }

    #[test]
    fn batches_of_one_make_the_batch_estimator_the_example_estimator() {
        let gradients = [[1.0, -2.0], [-3.0, 0.5], [0.25, 4.0]];
        let run = |estimator, batch_size| {
            let mut accumulator = Accumulator::new(estimator, 1, 2, batch_size);
            for g in &gradients {
                accumulator.add_example(g, g, &g[..1], &g[..1]);
            }
            accumulator.finish()
        };
        assert_eq!(run(Estimator::Batch, 1), run(Estimator::Example, 64));
    }

    #[test]
    fn a_full_last_batch_is_counted_once() {
        let mut accumulator = Accumulator::new(Estimator::Cumulative, 1, 1, 2);
        for g in [1.0, 3.0] {
            accumulator.add_example(&[g], &[g], &[g], &[g]);
        }
        assert_eq!(accumulator.finish().heads, [2.0]);
    }

    #[test]
    fn an_absent_unit_stays_not_a_number_and_disturbs_no_other() {
        for estimator in [Estimator::Token, Estimator::Example, Estimator::Batch, Estimator::Cumulative] {
            let mut accumulator = Accumulator::new(estimator, 1, 2, 4);
            accumulator.add_example(&[f64::NAN, 2.0], &[f64::NAN, 2.0], &[f64::NAN], &[f64::NAN]);
            let raw = accumulator.finish();
            assert!(raw.heads[0].is_nan() && raw.ffns[0].is_nan());
            assert_eq!(raw.heads[1], 2.0);
        }
    }
}
