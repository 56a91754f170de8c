//! Cross-entropy over classes and over words, and the squared error.

use crate::support::{Sums, holds, indices, inner, moved, numbers, on_threads, slope, wide};
use lottery::ops::loss::{self, Prediction, Targets};
use proptest::prelude::{any, prop};

/// Largest error of a probability, as a part of it, while logits are within ± 1; it grows with them.
const TOLERANCE: f64 = 5e-7;

/// The loss of each row of (n, c) and its gradient.
fn cross_entropy(x: &[f64], classes: &[u32]) -> (Vec<f64>, Sums) {
    let c = x.len() / classes.len();
    let mut d = Sums::zeros(x.len());
    let rows = x.chunks(c).zip(classes).enumerate().map(|(r, (x, class))| {
        let peak = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = x.iter().map(|x| (x - peak).exp()).sum();
        (0..c).for_each(|j| d.add(r * c + j, (x[j] - peak).exp() / total));
        d.add(r * c + *class as usize, -1.0);
        peak + total.ln() - x[*class as usize]
    });
    (rows.collect(), d)
}

fn scaled(sums: &Sums, n: usize) -> Sums {
    let by = |x: &[f64]| x.iter().map(|x| x / n as f64).collect();
    Sums { value: by(&sums.value), size: by(&sums.size) }
}

/// Logits of (n, c) within ± scale.
fn logits(n: usize, c: usize, scale: f32, seed: u64) -> Vec<f32> {
    numbers(n * c, seed, 1).into_iter().map(|v| v * scale).collect()
}

#[track_caller]
fn assert_losses(found: impl IntoIterator<Item = f64>, exact: &[f64], scale: f32) {
    let mut count = 0;
    for (found, exact) in found.into_iter().zip(exact) {
        assert!((found - exact).abs() < 1e-6 * f64::from(scale.max(1.0)), "{found} {exact}");
        count += 1;
    }
    assert_eq!(count, exact.len());
}

fn check_classes(n: usize, c: usize, scale: f32, seed: u64) {
    let (x, classes) = (logits(n, c, scale, seed), indices(n, c, seed, 2));
    let (losses, gradient) = cross_entropy(&wide(&x), &classes);
    let (mut d, mut d_mean) = (vec![f32::NAN; n * c], vec![f32::NAN; n * c]);
    assert_losses(loss::per_example(&x, Targets::Classes(&classes), &mut d), &losses, scale);
    let tolerance = TOLERANCE * f64::from(scale.max(1.0));
    gradient.assert_near(&d, tolerance, "an example's gradient");
    let mean = loss::mean(&x, Targets::Classes(&classes), &mut d_mean);
    assert_losses([mean], &[losses.iter().sum::<f64>() / n as f64], scale);
    scaled(&gradient, n).assert_near(&d_mean, tolerance, "the mean's gradient");
}

fn check_words(n: usize, c: usize, scale: f32, seed: u64) {
    let (x, words) = (logits(n, c, scale, seed), indices(n, c, seed, 2));
    let (losses, gradient) = cross_entropy(&wide(&x), &words);
    let [d, found, correct] = on_threads(|| {
        let mut d = x.clone();
        let found = loss::words(&mut d, &words);
        let mean = Prediction::mean_loss(&found);
        assert_losses([mean], &[losses.iter().sum::<f64>() / n as f64], scale);
        let correct = found.iter().map(|p| f32::from(u8::from(p.correct)));
        [d, found.iter().map(|p| p.loss as f32).collect(), correct.collect()]
    });
    assert_losses(found.into_iter().map(f64::from), &losses, scale);
    scaled(&gradient, n).assert_near(&d, TOLERANCE * f64::from(scale.max(1.0)), "the mean's gradient");
    for ((row, word), correct) in x.chunks(c).zip(&words).zip(correct) {
        assert_eq!(correct == 1.0, row.iter().all(|x| *x <= row[*word as usize]));
    }
}

fn check_scores(n: usize, scale: f32, seed: u64) {
    let (x, scores) = (logits(n, 1, scale, seed), numbers(n, seed, 2));
    let (mut d, mut d_mean, mut gradient) = (vec![f32::NAN; n], vec![f32::NAN; n], Sums::zeros(n));
    let exact: Vec<f64> = (0..n).map(|i| (f64::from(x[i]) - f64::from(scores[i])).powi(2)).collect();
    (0..n).for_each(|i| gradient.add(i, 2.0 * (f64::from(x[i]) - f64::from(scores[i]))));
    let losses = loss::per_example(&x, Targets::Scores(&scores), &mut d);
    assert_losses(losses, &exact, 1.0);
    gradient.assert_near(&d, 1e-7, "an example's gradient");
    let mean = loss::mean(&x, Targets::Scores(&scores), &mut d_mean);
    assert_losses([mean], &[exact.iter().sum::<f64>() / n as f64], 1.0);
    scaled(&gradient, n).assert_near(&d_mean, 2e-7, "the mean's gradient");
}

#[test]
fn losses_agree_with_f64_in_the_corners() {
    for c in [1, 2, 3] {
        check_classes(1, c, 1.0, 4);
        check_words(1, c, 1.0, 4);
    }
    check_classes(33, 2, 300.0, 4);
    check_words(3, 30_522, 8.0, 4);
    check_words(511, 61, 60.0, 4);
    check_scores(1, 5.0, 4);
}

#[test]
fn losses_agree_with_f64_over_drawn_shapes() {
    let n = prop::sample::select(vec![1usize, 2, 7, 32, 100]);
    let c = prop::sample::select(vec![2usize, 3, 5, 20, 100, 1003]);
    holds(20, (n, c, 0.1f32..30.0, any::<u64>()), |(n, c, scale, seed)| {
        check_classes(n, c, scale, seed);
        check_words(n, c, scale, seed);
        check_scores(n, scale, seed);
    });
}

#[test]
fn the_reference_has_the_gradient_that_finite_differences_give() {
    let (x, classes) = (wide(&logits(5, 7, 3.0, 1)), indices(5, 7, 1, 2));
    let direction = wide(&numbers(35, 1, 3));
    let found = slope(|h| cross_entropy(&moved(&x, &direction, h), &classes).0.iter().sum());
    assert!((found - inner(&cross_entropy(&x, &classes).1.value, &direction)).abs() < 1e-9);
}
