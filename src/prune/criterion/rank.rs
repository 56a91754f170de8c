//! How much two criteria agree: correlations of the ranks that they give.

/// Spearman's ρ: the linear correlation of ranks, ties averaged. None where either ranks nothing.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let [a, b] = [a, b].map(ranks);
    // The mean of the ranks 1 … n.
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product =
        |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum() };
    ratio(product(&a, &b), product(&a, &a) * product(&b, &b))
}

/// Kendall's τ-b (Kendall 1945), which counts ties. None where either ranks nothing.
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        for (other_x, other_y) in a.iter().zip(b).take(i) {
            let [in_a, in_b] = [sign(x - other_x), sign(y - other_y)];
            both += in_a * in_b;
            of_a += in_a * in_a;
            of_b += in_b * in_b;
        }
    }
    ratio(both, of_a * of_b)
}

fn sign(difference: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference.signum() }
}

fn ratio(product: f64, squares: f64) -> Option<f64> {
    (squares > 0.0).then(|| (product / squares.sqrt()).clamp(-1.0, 1.0))
}

/// Ranks from 1; equal values share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let (mut ranks, mut below) = (vec![0.0; values.len()], 0);
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = below as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|at| ranks[*at] = shared);
        below += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.spearmanr(a, b)` and `kendalltau(a, b)` of scipy 1.17.
    #[test]
    fn correlations_are_scipys_ties_included() {
        let a = [0.3, 1.0, 0.3, 2.5, -1.0, 0.0, 4.0];
        let b = [0.1, 0.9, 0.2, 0.9, 0.0, 0.4, 0.3];
        let (rho, tau) = (spearman(&a, &b).unwrap(), kendall(&a, &b).unwrap());
        assert!(
            (rho - 0.5818181818181818).abs() < 1e-12 && (tau - 0.44999999999999996).abs() < 1e-12,
            "{rho} {tau}"
        );
    }

    #[test]
    fn an_order_and_its_reverse_are_the_ends_and_equal_values_have_no_rank() {
        let (up, down) = ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]);
        assert_eq!((spearman(&up, &up), kendall(&up, &up)), (Some(1.0), Some(1.0)));
        assert_eq!((spearman(&up, &down), kendall(&up, &down)), (Some(-1.0), Some(-1.0)));
        for flat in [&[2.0; 3][..], &[]] {
            assert_eq!((spearman(&up[..flat.len()], flat), kendall(&up[..flat.len()], flat)), (None, None));
        }
    }
}
