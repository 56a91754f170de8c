//! Holm's correction (1979) for many tests at once.

/// The adjusted p-values, in the order of `p`: the probability that any test of the family rejects wrongly is kept. What
/// is none is no test of the family.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..p.len()).filter(|at| p[*at].is_some()).collect();
    order.sort_by(|a, b| p[*a].unwrap_or(1.0).total_cmp(&p[*b].unwrap_or(1.0)));
    let (tests, mut least, mut adjusted) = (order.len(), 0.0, vec![None; p.len()]);
    for (rank, at) in order.into_iter().enumerate() {
        least = f64::max(least, (p[at].unwrap_or(1.0) * (tests - rank) as f64).min(1.0));
        adjusted[at] = Some(least);
    }
    adjusted
}
