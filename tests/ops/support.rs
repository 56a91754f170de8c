//! Shapes drawn at random, numbers to fill them, sums in f64, and comparisons.

use lottery::ops::rng::{Purpose, Stream};
use proptest::{
    prelude::prop,
    strategy::Strategy,
    test_runner::{Config, RngSeed, TestRunner},
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{env, sync::LazyLock};

/// Tries the property on so many drawn shapes; of one that fails, a simpler one that fails too is told.
pub fn holds<S: Strategy>(cases: u32, shapes: S, property: impl Fn(S::Value)) {
    let given = Config::default();
    let config = Config {
        cases: if env::var_os("PROPTEST_CASES").is_some() { given.cases } else { cases },
        rng_seed: match given.rng_seed {
            RngSeed::Random => RngSeed::Fixed(1337),
            fixed => fixed,
        },
        failure_persistence: None,
        max_shrink_iters: 60,
        ..given
    };
    let outcome = TestRunner::new(config).run(&shapes, |shape| {
        property(shape);
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

/// Numbers of rows: one token, the longest sequence but one, and around the sizes of the kernels' tasks.
pub fn rows() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 2, 15, 16, 17, 33, 100, 257, 511])
}

/// Widths of rows, most of them no multiple of any vector.
pub fn width() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 2, 5, 8, 17, 20, 31, 33, 64, 100, 130])
}

pub fn rate() -> impl Strategy<Value = f32> {
    prop::sample::select(vec![0.0, 0.1, 0.5])
}

/// Numbers in (-1, 1), the same ones for a seed and a name.
pub fn numbers(n: usize, seed: u64, name: u32) -> Vec<f32> {
    let mut stream = Stream::new(seed, Purpose::Split, name);
    (0..n).map(|_| (stream.next_u32() as i32 as f32) / 2f32.powi(31)).collect()
}

/// Indices below `end`, the same ones for a seed and a name.
pub fn indices(n: usize, end: usize, seed: u64, name: u32) -> Vec<u32> {
    let mut stream = Stream::new(seed, Purpose::Split, name);
    (0..n).map(|_| stream.below(end as u32)).collect()
}

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

/// Sums in f64, each beside what its rounding errors in f32 are measured by: the sum of its terms' sizes.
#[derive(Clone)]
pub struct Sums {
    pub value: Vec<f64>,
    pub size: Vec<f64>,
}

impl Sums {
    pub fn zeros(n: usize) -> Self {
        Self { value: vec![0.0; n], size: vec![0.0; n] }
    }

    /// Sums that begin with these values.
    pub fn from(x: &[f32]) -> Self {
        Self { value: wide(x), size: x.iter().map(|v| f64::from(v.abs())).collect() }
    }

    pub fn add(&mut self, i: usize, term: f64) {
        self.add_sized(i, term, term.abs());
    }

    pub fn add_sized(&mut self, i: usize, term: f64, size: f64) {
        self.value[i] += term;
        self.size[i] += size;
    }

    /// Adds factor · row from element `at` on.
    pub fn add_row(&mut self, at: usize, (factor, size): (f64, f64), row: &[f64]) {
        let values = &mut self.value[at..at + row.len()];
        let sizes = &mut self.size[at..at + row.len()];
        for i in 0..row.len() {
            values[i] += factor * row[i];
            sizes[i] += size * row[i].abs();
        }
    }

    /// Fails unless all of `found` is as near as f32 can be, up to some roundings.
    #[track_caller]
    pub fn assert_near(&self, found: &[f32], tolerance: f64, what: &str) {
        assert_eq!(found.len(), self.value.len(), "{what}");
        for (i, found) in found.iter().enumerate() {
            let (value, size) = (self.value[i], self.size[i]);
            let error = (f64::from(*found) - value).abs();
            // What underflows in f32 may differ by as little; written so that a NaN fails.
            assert!(
                error <= tolerance * size + 1e-30,
                "{what}[{i}] is {found:e}, in f64 {value:e}: off by {:.1e} of {size:.1e}",
                error / size
            );
        }
    }
}

static POOLS: LazyLock<[ThreadPool; 3]> =
    LazyLock::new(|| [1, 2, 3].map(|n| ThreadPoolBuilder::new().num_threads(n).build().unwrap()));

/// What the operation gives on one thread, after two and three have given the same bits.
#[track_caller]
pub fn on_threads<const N: usize>(operation: impl Fn() -> [Vec<f32>; N] + Sync) -> [Vec<f32>; N] {
    let [one, others @ ..] = &*POOLS;
    let alone = one.install(&operation);
    for pool in others {
        let together = pool.install(&operation);
        for (i, (a, b)) in alone.iter().zip(&together).enumerate() {
            let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "outcome {i} differs on {} threads", pool.current_num_threads());
        }
    }
    alone
}

/// df / dh at 0: central differences at h and 2h, extrapolated, with an error of fourth order.
pub fn slope(f: impl Fn(f64) -> f64) -> f64 {
    let h = 1e-3;
    let central = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    (4.0 * central(h) - central(2.0 * h)) / 3.0
}

/// ⟨x, y⟩
pub fn inner(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// x + h · direction
pub fn moved(x: &[f64], direction: &[f64], h: f64) -> Vec<f64> {
    x.iter().zip(direction).map(|(x, d)| d.mul_add(h, *x)).collect()
}
