//! Scaled dot-product attention of packed sequences, a (sequence, head) at a time, with softmax and dropout inside
//! (Vaswani et al. 2017, eq. 1): context = dropout(softmax(q kᵀ / √d)) v.
//!
//! The probabilities are not kept for the backward pass, only each row's peak and scale: computing them again, to the
//! same bits, costs no more than writing and reading them.

use super::{
    Format, Shared,
    dropout::DropoutPlan,
    product::{View, matmul_serial},
    simd::{dot, exp, max, sum},
};
use crate::dispatch;
use rayon::prelude::*;
use std::cell::RefCell;

/// Which rows attend to which, and the heads that do it.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    /// The numbers that the remaining heads had before any was removed: they fix the heads' dropout masks.
    pub heads: &'a [usize],
    /// Width of one head.
    pub head_size: usize,
    /// Row offsets of each sequence's queries, `sequences + 1` of them.
    pub queries: &'a [usize],
    /// Row offsets of each sequence's keys and values.
    pub keys: &'a [usize],
}

impl Shape<'_> {
    fn sequences(&self) -> usize {
        self.queries.len() - 1
    }

    fn width(&self) -> usize {
        self.heads.len() * self.head_size
    }

    /// Peak and scale of each query's row in each head.
    pub fn statistics(&self) -> usize {
        2 * self.queries[self.sequences()] * self.heads.len()
    }

    fn pairs(&self, s: usize) -> usize {
        (self.queries[s + 1] - self.queries[s]) * (self.keys[s + 1] - self.keys[s])
    }

    /// Every (sequence, head), longest sequences first so that threads finish together.
    fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::with_capacity(self.sequences() * self.heads.len());
        for sequence in 0..self.sequences() {
            tasks.extend((0..self.heads.len()).map(|head| Task { sequence, head }));
        }
        tasks.sort_by_key(|t| std::cmp::Reverse(self.pairs(t.sequence)));
        tasks
    }
}

struct Task {
    sequence: usize,
    head: usize,
}

/// Rows of queries, keys or values (and their gradients) inside a wider matrix: row `r` begins at `r · stride`.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

/// The same, to be written.
pub struct RowsMut<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
}

dispatch! {
    /// Each row of t becomes softmax(factor · row); its peak and scale are written.
    fn softmax_rows(p: &mut [f32], t: usize, factor: f32, statistics: &mut [f32]) {
        for (row, of_row) in p.chunks_exact_mut(t).zip(statistics.chunks_exact_mut(2)) {
            let peak = max(row);
            for v in row.iter_mut() { *v = exp((*v - peak) * factor); }
            let scale = 1.0 / sum(row);
            for v in row.iter_mut() { *v *= scale; }
            of_row.copy_from_slice(&[peak, scale]);
        }
    }
}

dispatch! {
    /// Recomputes the softmax from the statistics that [`softmax_rows`] wrote.
    fn softmax_rows_from_statistics(p: &mut [f32], t: usize, factor: f32, statistics: &[f32]) {
        for (row, of_row) in p.chunks_exact_mut(t).zip(statistics.chunks_exact(2)) {
            let (peak, scale) = (of_row[0], of_row[1]);
            for v in row.iter_mut() { *v = exp((*v - peak) * factor) * scale; }
        }
    }
}

dispatch! {
    /// dp becomes the gradient before the softmax and its factor: factor p ⊙ (dp - ⟨p, dp⟩).
    fn softmax_backward_rows(p: &[f32], dp: &mut [f32], t: usize, factor: f32) {
        for (p, dp) in p.chunks_exact(t).zip(dp.chunks_exact_mut(t)) {
            let shift = dot(p, dp);
            for (p, d) in p.iter().zip(dp) { *d = (p * factor) * (*d - shift); }
        }
    }
}

dispatch! {
    fn multiply(x: &mut [f32], by: &[f32]) {
        for (x, b) in x.iter_mut().zip(by) { *x *= b; }
    }
}

thread_local! {
    /// Probabilities, dropped ones and their gradients, of one (sequence, head).
    static SCRATCH: RefCell<[Vec<f32>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

fn check(shape: &Shape, width_of: &[(usize, usize, &[usize])], statistics: usize) {
    assert_eq!(shape.queries.len(), shape.keys.len());
    assert!(statistics >= shape.statistics());
    for (len, stride, offsets) in width_of {
        let rows = offsets[offsets.len() - 1];
        assert!(*stride >= shape.width() && (rows == 0 || (rows - 1) * stride + shape.width() <= *len));
        assert!(offsets.is_sorted());
    }
}

/// Whether two blocks of `width` columns of one buffer, (first element, stride between rows, rows), share no element.
fn are_apart(a: (usize, usize, usize), b: (usize, usize, usize), width: usize) -> bool {
    let end = |(start, stride, rows): (usize, usize, usize)| start + (rows - 1) * stride + width;
    if a.2 == 0 || b.2 == 0 || width == 0 || end(a) <= b.0 || end(b) <= a.0 {
        return true;
    }
    // Rows interleave: then those of one must lie in the gaps between those of the other.
    let stride = a.1;
    let shift = (b.0 % stride + stride - a.0 % stride) % stride;
    b.1 == stride && shift >= width && shift + width <= stride
}

/// Writes context (queries, A), and the rows' statistics, which the backward pass needs.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    format: Format,
    q: Rows,
    k: Rows,
    v: Rows,
    shape: &Shape,
    dropout: Option<(&DropoutPlan, usize)>,
    statistics: &mut [f32],
    context: RowsMut,
) {
    check(
        shape,
        &[
            (q.data.len(), q.stride, shape.queries),
            (k.data.len(), k.stride, shape.keys),
            (v.data.len(), v.stride, shape.keys),
            (context.data.len(), context.stride, shape.queries),
        ],
        statistics.len(),
    );
    let d = shape.head_size;
    let scale = 1.0 / (d as f32).sqrt();
    let (statistics, out) = (Shared(statistics.as_mut_ptr()), Shared(context.data.as_mut_ptr()));
    let stride = context.stride;
    shape.tasks().par_iter().with_max_len(4).for_each(|task| {
        let block = Block::new(task, shape);
        let (m, t) = (block.queries, block.keys);
        let (q, k, v) = (block.of_query(q), block.of_key(k), block.of_key(v));
        // SAFETY: `check` saw room for the statistics of all (sequence, head) pairs; each pair is one task, and its 2 · m
        // numbers begin where those of the pairs before it end.
        let statistics = unsafe { std::slice::from_raw_parts_mut(statistics.at(block.statistics), 2 * m) };
        SCRATCH.with_borrow_mut(|[p, dropped, _]| {
            let p = super::fit(p, m * t);
            // S = Q Kᵀ: (m, d) · (d, t)
            // SAFETY: `p` is m × t elements of a buffer that this thread has borrowed exclusively.
            unsafe { matmul_serial(format, (m, t, d), q, k.t(), p.as_mut_ptr(), t) };
            softmax_rows(p, t, scale, statistics);
            let mask = dropout
                .and_then(|(plan, layer)| plan.attention(layer, shape.heads[task.head], task.sequence));
            let kept = match mask {
                None => &*p,
                Some(mask) => {
                    let dropped = super::fit(dropped, m * t);
                    mask.multipliers(0, dropped);
                    multiply(dropped, p);
                    dropped
                }
            };
            let to = out.at(block.query_row * stride + block.column);
            // C = P̃ V: (m, t) · (t, d)
            // SAFETY: `check` saw that these rows and columns are inside the context, and no other task has this head's
            // columns of this sequence's rows.
            unsafe { matmul_serial(format, (m, d, t), View::rows(kept, t), v, to, stride) };
        });
    });
}

/// One task's rows and columns.
struct Block {
    query_row: usize,
    key_row: usize,
    queries: usize,
    keys: usize,
    /// First column of the head.
    column: usize,
    /// Where its rows' statistics begin.
    statistics: usize,
}

impl Block {
    fn new(task: &Task, shape: &Shape) -> Self {
        let (query_row, key_row) = (shape.queries[task.sequence], shape.keys[task.sequence]);
        let queries = shape.queries[task.sequence + 1] - query_row;
        Self {
            query_row,
            key_row,
            queries,
            keys: shape.keys[task.sequence + 1] - key_row,
            column: task.head * shape.head_size,
            statistics: 2 * (query_row * shape.heads.len() + task.head * queries),
        }
    }

    fn of_query<'a>(&self, rows: Rows<'a>) -> View<'a> {
        self.part(rows, self.query_row)
    }

    fn of_key<'a>(&self, rows: Rows<'a>) -> View<'a> {
        self.part(rows, self.key_row)
    }

    /// This head's columns from a row on; nothing when the sequence has none and is the last.
    fn part<'a>(&self, rows: Rows<'a>, row: usize) -> View<'a> {
        View::rows(rows.data.get(row * rows.stride + self.column..).unwrap_or(&[]), rows.stride)
    }
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    pub q: Rows<'a>,
    pub k: Rows<'a>,
    pub v: Rows<'a>,
    pub statistics: &'a [f32],
}

/// Where the gradients of queries, keys and values go: (first element, stride between rows) of each.
pub struct QkvMut<'a> {
    pub data: &'a mut [f32],
    /// Where those of keys and values go, if not to `data` as well.
    pub of_kv: Option<&'a mut [f32]>,
    pub q: (usize, usize),
    pub k: (usize, usize),
    pub v: (usize, usize),
}

/// The gradients of queries, keys and values from that of the context.
pub fn backward(
    format: Format,
    d_context: Rows,
    saved: &Saved,
    shape: &Shape,
    dropout: Option<(&DropoutPlan, usize)>,
    out: QkvMut,
) {
    let Saved { q, k, v, statistics } = *saved;
    let QkvMut { data, of_kv, q: (dq, q_stride), k: (dk, k_stride), v: (dv, v_stride) } = out;
    let kv_len = of_kv.as_ref().map_or(data.len(), |of_kv| of_kv.len());
    check(
        shape,
        &[
            (q.data.len(), q.stride, shape.queries),
            (k.data.len(), k.stride, shape.keys),
            (v.data.len(), v.stride, shape.keys),
            (d_context.data.len(), d_context.stride, shape.queries),
            (data.len().saturating_sub(dq), q_stride, shape.queries),
            (kv_len.saturating_sub(dk), k_stride, shape.keys),
            (kv_len.saturating_sub(dv), v_stride, shape.keys),
        ],
        statistics.len(),
    );
    let d = shape.head_size;
    let scale = 1.0 / (d as f32).sqrt();
    let rows = |offsets: &[usize]| offsets[offsets.len() - 1];
    let [of_q, of_k, of_v] = [
        (dq, q_stride, rows(shape.queries)),
        (dk, k_stride, rows(shape.keys)),
        (dv, v_stride, rows(shape.keys)),
    ];
    let apart = |a, b| are_apart(a, b, shape.width());
    assert!(apart(of_k, of_v) && (of_kv.is_some() || apart(of_q, of_k) && apart(of_q, of_v)));
    let to = Shared(data.as_mut_ptr());
    let to_kv = of_kv.map_or(to, |of_kv| Shared(of_kv.as_mut_ptr()));
    shape.tasks().par_iter().with_max_len(4).for_each(|task| {
        let block = Block::new(task, shape);
        let (m, t) = (block.queries, block.keys);
        let statistics = &statistics[block.statistics..][..2 * m];
        let (q, k, v) = (block.of_query(q), block.of_key(k), block.of_key(v));
        let d_out = block.of_query(d_context);
        let mask =
            dropout.and_then(|(plan, layer)| plan.attention(layer, shape.heads[task.head], task.sequence));
        SCRATCH.with_borrow_mut(|[p, dropped, dp]| {
            let (p, dp) = (super::fit(p, m * t), super::fit(dp, m * t));
            // S = Q Kᵀ: (m, d) · (d, t)
            // SAFETY: `p` is m × t elements of a buffer that this thread has borrowed exclusively.
            unsafe { matmul_serial(format, (m, t, d), q, k.t(), p.as_mut_ptr(), t) };
            softmax_rows_from_statistics(p, t, scale, statistics);
            // dP = dC Vᵀ: (m, d) · (d, t)
            // SAFETY: `dp` is m × t elements of a buffer that this thread has borrowed exclusively.
            unsafe { matmul_serial(format, (m, t, d), d_out, v.t(), dp.as_mut_ptr(), t) };
            let kept = match mask {
                None => &*p,
                Some(mask) => {
                    let dropped = super::fit(dropped, m * t);
                    mask.multipliers(0, dropped);
                    multiply(dp, dropped);
                    multiply(dropped, p);
                    dropped
                }
            };
            softmax_backward_rows(p, dp, t, scale);
            let (kept, ds) = (View::rows(kept, t), View::rows(dp, t));
            let (to_q, to_k, to_v) = (
                to.at(dq + block.query_row * q_stride + block.column),
                to_kv.at(dk + block.key_row * k_stride + block.column),
                to_kv.at(dv + block.key_row * v_stride + block.column),
            );
            // dV = P̃ᵀ dC: (t, m) · (m, d); dQ = dS K: (m, t) · (t, d); dK = dSᵀ Q: (t, m) · (m, d)
            // SAFETY: `check` saw that these rows and columns are inside their buffer, and the three blocks do not overlap; no
            // other task has this head's columns of this sequence's rows in any of them.
            unsafe {
                matmul_serial(format, (t, d, m), kept.t(), d_out, to_v, v_stride);
                matmul_serial(format, (m, d, t), ds, k, to_q, q_stride);
                matmul_serial(format, (t, d, m), ds.t(), q, to_k, k_stride);
            }
        });
    });
}

#[cfg(test)]
mod tests;
