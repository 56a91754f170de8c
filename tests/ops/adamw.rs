//! AdamW with decay groups and clip, step after step.

use crate::support::{Sums, holds, indices, numbers, on_threads, wide};
use lottery::ops::adamw::{AdamW, Moments, clip_scale, norm};
use proptest::prelude::{Strategy, any, prop};
use std::ops::Range;

const STEPS: u32 = 3;

#[derive(Clone, Debug)]
struct Case {
    n: usize,
    /// Weight decay applies between the first and second of these borders, between the third and fourth, and so on.
    borders: Vec<usize>,
    decay: f64,
    learning_rate: f64,
    clip: f64,
    /// Size of the gradients.
    scale: f32,
    seed: u64,
}

impl Case {
    fn optimizer(&self) -> AdamW {
        AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: self.decay }
    }

    fn decayed(&self) -> Vec<Range<usize>> {
        self.borders.chunks_exact(2).map(|b| b[0]..b[1]).collect()
    }

    /// Every seventh element has no gradient, like a word that is not in the batch.
    fn gradient(&self, step: u32) -> Vec<f32> {
        let g = numbers(self.n, self.seed, 10 + step).into_iter().enumerate();
        g.map(|(i, g)| if i % 7 == 0 { 0.0 } else { g * self.scale }).collect()
    }

    fn weights(&self) -> Vec<f32> {
        numbers(self.n, self.seed, 1)
    }
}

/// w ← w - η (m̂ / (√v̂ + ε) + λ w), with m and v of the clipped gradient: the published algorithm.
fn exact(case: &Case) -> [Sums; 3] {
    let mut w = Sums::from(&case.weights());
    let [mut m, mut v] = [case.n; 2].map(Sums::zeros);
    let decayed = case.decayed();
    let decays: Vec<bool> = (0..case.n).map(|i| decayed.iter().any(|r| r.contains(&i))).collect();
    for t in 1..=STEPS {
        let g = wide(&case.gradient(t));
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = if case.clip > 0.0 && norm > case.clip { case.clip / norm } else { 1.0 };
        let (c1, c2) = (1.0 - 0.9f64.powi(t as i32), 1.0 - 0.999f64.powi(t as i32));
        for i in 0..case.n {
            let g = g[i] * scale;
            (m.value[i], m.size[i]) = (0.9 * m.value[i] + 0.1 * g, 0.9 * m.size[i] + 0.1 * g.abs());
            v.value[i] = 0.999 * v.value[i] + 0.001 * g * g;
            let root = (v.value[i] / c2).sqrt() + 1e-8;
            let decay = if decays[i] { case.decay * w.value[i] } else { 0.0 };
            let step = case.learning_rate * (m.value[i] / c1 / root + decay);
            w.add_sized(i, -step, case.learning_rate * (m.size[i] / c1 / root + decay.abs()));
        }
    }
    v.size.clone_from(&v.value);
    // A weight is rounded more finely than its update.
    w.size.iter_mut().zip(case.weights()).for_each(|(size, w)| *size -= 0.95 * f64::from(w.abs()));
    [w, m, v]
}

fn check(case: &Case) {
    let (optimizer, decayed) = (case.optimizer(), case.decayed());
    let [w, m, v, left] = on_threads(|| {
        let (mut w, mut moments) = (case.weights(), Moments::zeros(case.n));
        let mut g = vec![];
        for t in 1..=STEPS {
            g = case.gradient(t);
            let length = norm(&g);
            let naive = wide(&g).iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!((length - naive).abs() <= 1e-12 * naive, "{length} {naive}");
            let scale = clip_scale(length, case.clip);
            assert!(case.clip == 0.0 || scale * length <= case.clip);
            optimizer.step(&mut w, &mut g, &mut moments, &decayed, case.learning_rate, scale);
        }
        assert_eq!(moments.steps, STEPS);
        [w, moments.first, moments.second, g]
    });
    let [exact_w, exact_m, exact_v] = exact(case);
    exact_w.assert_near(&w, 1e-5, "weights");
    exact_m.assert_near(&m, 1e-6, "first moments");
    // The kernel's 1 - β₂ is a difference of f32s, 1.3e-5 off.
    exact_v.assert_near(&v, 2e-5, "second moments");
    assert!(left.iter().all(|g| *g == 0.0), "the gradient is not cleared");
}

#[test]
fn adamw_agrees_with_f64_in_the_corners() {
    let case =
        Case { n: 1, borders: vec![], decay: 0.1, learning_rate: 1e-2, clip: 1.0, scale: 3.0, seed: 6 };
    check(&case);
    check(&Case { borders: vec![0, 1], ..case.clone() });
    // The border of two parallel tasks lies at 65 536; a group ends before it, at it, or goes over it.
    for borders in [vec![0, 65_535], vec![3, 65_536], vec![0, 17, 17, 65_537], vec![5, 5, 65_500, 65_613]] {
        check(&Case { n: 65_613, borders, ..case.clone() });
    }
    check(&Case { n: 100, borders: vec![1, 99], clip: 0.0, scale: 1e-7, ..case });
}

#[test]
fn adamw_agrees_with_f64_over_drawn_groups() {
    let n = prop::sample::select(vec![1usize, 15, 16, 17, 130, 5001]);
    let rates = (prop::sample::select(vec![0.0, 0.01, 0.3]), prop::sample::select(vec![2e-5, 1e-3, 0.1]));
    let clip = prop::sample::select(vec![0.0, 0.5, 1.0, 1e6]);
    let scale = prop::sample::select(vec![1e-6f32, 1e-2, 1.0, 100.0]);
    let shapes = (n, 0usize..9, rates, clip, scale, any::<u64>());
    let shapes = shapes.prop_map(|(n, count, (decay, learning_rate), clip, scale, seed)| {
        let mut borders: Vec<usize> =
            indices(count, n + 1, seed, 2).into_iter().map(|b| b as usize).collect();
        borders.sort_unstable();
        Case { n, borders, decay, learning_rate, clip, scale, seed }
    });
    holds(24, shapes, |case| check(&case));
}
