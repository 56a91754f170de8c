//! Attention in f64, one query at a time.

use super::Case;
use crate::support::{Sums, inner};

/// Compact matrices: (queries, A), and keys and values (T, A).
pub struct Operands {
    pub q: Vec<f64>,
    pub k: Vec<f64>,
    pub v: Vec<f64>,
    /// The gradient of the context, (queries, A).
    pub d_context: Vec<f64>,
}

pub struct Exact {
    pub context: Sums,
    pub dq: Sums,
    pub dk: Sums,
    pub dv: Sums,
}

/// context = dropout(softmax(q kᵀ / √d)) v, and the gradients of q, k and v.
pub fn attention(case: &Case, x: &Operands) -> Exact {
    let (a, d) = (case.width(), case.head_size);
    let (queries, keys) = (case.query_offsets(), case.key_offsets());
    let [context, dq] = [&x.q, &x.q].map(|q| Sums::zeros(q.len()));
    let [dk, dv] = [&x.k, &x.k].map(|k| Sums::zeros(k.len()));
    let mut out = Exact { context, dq, dk, dv };
    let root = (d as f64).sqrt();
    for s in 0..case.lengths.len() {
        for (place, head) in case.heads.iter().enumerate() {
            let at = |row: usize| row * a + place * d;
            let row = |of: usize| of..of + d;
            let mask = case.mask(s, *head);
            let keys = keys[s]..keys[s + 1];
            for (m, i) in (queries[s]..queries[s + 1]).enumerate() {
                let (q, dc) = (&x.q[row(at(i))], &x.d_context[row(at(i))]);
                let mask = &mask[m * keys.len()..(m + 1) * keys.len()];
                let logits: Vec<f64> = keys.clone().map(|j| inner(q, &x.k[row(at(j))]) / root).collect();
                let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = logits.iter().map(|l| (l - peak).exp()).sum();
                let p: Vec<f64> = logits.iter().map(|l| (l - peak).exp() / total).collect();
                let (mut dp, mut sizes) = (vec![], vec![]);
                for (n, j) in keys.clone().enumerate() {
                    let (v, kept) = (&x.v[row(at(j))], p[n] * mask[n]);
                    out.context.add_row(at(i), (kept, kept), v);
                    out.dv.add_row(at(j), (kept, kept), dc);
                    dp.push(mask[n] * inner(dc, v));
                    sizes.push(mask[n] * dc.iter().zip(v).map(|(x, y)| (x * y).abs()).sum::<f64>());
                }
                let (shift, shift_size) = (inner(&p, &dp), inner(&p, &sizes));
                for (n, j) in keys.clone().enumerate() {
                    let ds = p[n] * (dp[n] - shift) / root;
                    let size = p[n] * (sizes[n] + shift_size) / root;
                    out.dq.add_row(at(i), (ds, size), &x.k[row(at(j))]);
                    out.dk.add_row(at(j), (ds, size), q);
                }
            }
        }
    }
    out
}
