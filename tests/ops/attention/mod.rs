//! Attention of packed sequences: very different lengths, few queries, heads that are gone, rows inside wider ones.

mod exact;

use crate::support::{Sums, holds, inner, moved, numbers, on_threads, rate, slope, wide};
use exact::{Exact, Operands};
use lottery::ops::{
    Format,
    attention::{self, QkvMut, Rows, RowsMut, Saved, Shape},
    dropout::DropoutPlan,
};
use proptest::prelude::{Strategy, any, prop};

/// Largest error, as a part of the sizes of the terms; measured: below 5e-7.
const TOLERANCE: f64 = 1e-6;
const LAYER: usize = 3;

#[derive(Clone, Debug)]
struct Case {
    lengths: Vec<usize>,
    /// Queries of each sequence where they are not all of its rows, as in the last layer.
    queries: Option<Vec<usize>>,
    /// Numbers of the heads that are left.
    heads: Vec<usize>,
    head_size: usize,
    /// Columns of each buffer that are nobody's.
    gap: usize,
    /// What queries are multiplied with.
    sharpness: f32,
    rate: f32,
    seed: u64,
}

impl Case {
    fn width(&self) -> usize {
        self.heads.len() * self.head_size
    }

    fn key_offsets(&self) -> Vec<usize> {
        offsets(&self.lengths)
    }

    fn query_offsets(&self) -> Vec<usize> {
        offsets(self.queries.as_ref().unwrap_or(&self.lengths))
    }

    fn plan(&self) -> DropoutPlan {
        DropoutPlan { seed: self.seed, step: 2, hidden: 0.0, attention: self.rate, classifier: 0.0 }
    }

    /// The multipliers of a sequence's (queries, keys) for one head.
    fn mask(&self, sequence: usize, head: usize) -> Vec<f64> {
        let queries = self.queries.as_ref().unwrap_or(&self.lengths)[sequence];
        let mut mask = vec![1.0; queries * self.lengths[sequence]];
        if let Some(dropout) = self.plan().attention(LAYER, head, sequence) {
            dropout.multipliers(0, &mut mask);
        }
        wide(&mask)
    }

    fn operands(&self) -> [Vec<f32>; 4] {
        let (a, q, k) = (self.width(), last(&self.query_offsets()), last(&self.key_offsets()));
        let mut x = [(q, 1), (k, 2), (k, 3), (q, 4)].map(|(rows, name)| numbers(rows * a, self.seed, name));
        x[0].iter_mut().for_each(|v| *v *= self.sharpness);
        x
    }

    /// (first element, stride) of queries, keys and values in one buffer, and its length: side by side, or queries before
    /// keys and values where they have fewer rows.
    fn places(&self) -> ([(usize, usize); 3], usize) {
        let (a, q, k) = (self.width(), last(&self.query_offsets()), last(&self.key_offsets()));
        if self.queries.is_none() {
            let stride = 3 * a + self.gap;
            return ([0, a, 2 * a].map(|first| (first, stride)), k * stride);
        }
        let (of_q, stride) = (a + self.gap, 2 * a + self.gap);
        let first = q * of_q;
        ([(0, of_q), (first, stride), (first + a, stride)], first + k * stride)
    }
}

fn offsets(counts: &[usize]) -> Vec<usize> {
    let mut at = vec![0];
    counts.iter().for_each(|n| at.push(at[at.len() - 1] + n));
    at
}

fn last(offsets: &[usize]) -> usize {
    offsets[offsets.len() - 1]
}

/// Copies compact rows (n, A) to their places, or back.
fn spread(x: &[f32], a: usize, (first, stride): (usize, usize), to: &mut [f32]) {
    for (r, row) in x.chunks(a.max(1)).enumerate() {
        to[first + r * stride..][..a].copy_from_slice(row);
    }
}

fn gather(from: &[f32], a: usize, (first, stride): (usize, usize), rows: usize) -> Vec<f32> {
    (0..rows).flat_map(|r| from[first + r * stride..][..a].to_vec()).collect()
}

/// Context, then the gradients of queries, keys and values, compact.
fn run(case: &Case) -> [Vec<f32>; 4] {
    let (a, queries, keys) = (case.width(), case.query_offsets(), case.key_offsets());
    let [q, k, v, dc] = case.operands();
    let (places, len) = case.places();
    // What is nobody's is NaN: to be neither read nor written.
    let mut qkv = vec![f32::NAN; len];
    [&q, &k, &v].into_iter().zip(places).for_each(|(x, place)| spread(x, a, place, &mut qkv));
    let shape = Shape { heads: &case.heads, head_size: case.head_size, queries: &queries, keys: &keys };
    let [rows_q, rows_k, rows_v] = places.map(|(first, stride)| Rows { data: &qkv[first..], stride });
    let (plan, stride) = (case.plan(), a + case.gap);
    let dropout = Some((&plan, LAYER));
    let mut statistics = vec![f32::NAN; shape.statistics() + 3];
    let mut context = vec![f32::NAN; last(&queries) * stride];
    let to = RowsMut { data: &mut context, stride };
    attention::forward(Format::F32, rows_q, rows_k, rows_v, &shape, dropout, &mut statistics, to);
    let mut d_context = vec![f32::NAN; context.len()];
    spread(&dc, a, (0, stride), &mut d_context);
    let mut d_qkv = vec![f32::NAN; len];
    let saved = Saved { q: rows_q, k: rows_k, v: rows_v, statistics: &statistics };
    let [of_q, of_k, of_v] = places;
    let to = QkvMut { data: &mut d_qkv, of_kv: None, q: of_q, k: of_k, v: of_v };
    attention::backward(Format::F32, Rows { data: &d_context, stride }, &saved, &shape, dropout, to);
    let untouched = |x: &[f32]| x.iter().filter(|v| v.is_nan()).count();
    assert_eq!(untouched(&statistics), 3, "statistics beyond the last one");
    assert_eq!(untouched(&context), context.len() - q.len(), "context");
    assert_eq!(untouched(&d_qkv), len - q.len() - k.len() - v.len(), "gradients");
    let back = |x: &[f32], place, rows: &[usize]| gather(x, a, place, last(rows));
    [
        back(&context, (0, stride), &queries),
        back(&d_qkv, of_q, &queries),
        back(&d_qkv, of_k, &keys),
        back(&d_qkv, of_v, &keys),
    ]
}

fn exact(case: &Case) -> (Operands, Exact) {
    let [q, k, v, d_context] = case.operands().map(|x| wide(&x));
    let operands = Operands { q, k, v, d_context };
    let exact = exact::attention(case, &operands);
    (operands, exact)
}

fn check(case: &Case) {
    let [context, dq, dk, dv] = on_threads(|| run(case));
    let exact = exact(case).1;
    // A probability's relative error is its score's absolute one, which grows with the scores.
    let tolerance = TOLERANCE * f64::from(case.sharpness.max(1.0));
    let compare = |found: &[f32], exact: &Sums, what: &str| exact.assert_near(found, tolerance, what);
    compare(&context, &exact.context, "context");
    compare(&dq, &exact.dq, "dq");
    compare(&dk, &exact.dk, "dk");
    compare(&dv, &exact.dv, "dv");
}

fn case(lengths: &[usize], queries: Option<&[usize]>, heads: &[usize], head_size: usize) -> Case {
    let queries = queries.map(<[usize]>::to_vec);
    let (lengths, heads) = (lengths.to_vec(), heads.to_vec());
    Case { lengths, queries, heads, head_size, gap: 5, sharpness: 2.0, rate: 0.1, seed: 7 }
}

#[test]
fn attention_agrees_with_f64_in_the_corners() {
    check(&case(&[1], None, &[0], 8));
    check(&case(&[1], Some(&[1]), &[11], 128));
    check(&case(&[511], None, &[2], 8));
    check(&case(&[1, 511], Some(&[1, 1]), &[0, 1, 3], 64));
    check(&case(&[511, 1, 1], Some(&[77, 1, 0]), &[5], 33));
    check(&case(&[130, 1, 64], None, &[4], 128));
    // A sequence without a masked word asks nothing, and its keys and values get a gradient of 0.
    check(&case(&[3, 9], Some(&[0, 4]), &[0, 2], 20));
    check(&case(&[3, 9], Some(&[0, 0]), &[0, 2], 24));
    for queries in [None, Some(&[1, 1][..])] {
        check(&case(&[4, 7], queries, &[], 16));
        check(&Case { gap: 0, ..case(&[4, 7], queries, &[], 16) });
    }
    // Scores of several hundred: all but one probability vanish.
    check(&Case { sharpness: 300.0, ..case(&[40, 2], None, &[1], 64) });
}

#[test]
fn attention_agrees_with_f64_over_drawn_shapes() {
    let lengths = prop::collection::vec(prop::sample::select(vec![1, 2, 3, 16, 17, 40, 65, 511]), 1..5);
    // Half of the time a part of each sequence's rows asks; beside 511 keys always, to keep it quick.
    let asking =
        (lengths, any::<bool>(), prop::collection::vec(0.0..1.0, 4)).prop_map(|(lengths, some, parts)| {
            let few = |(n, part): (&usize, f64)| ((*n as f64 * part) as usize).min(40);
            let queries = some || lengths.contains(&511);
            let queries = queries.then(|| lengths.iter().zip(parts).map(few).collect::<Vec<_>>());
            (lengths, queries)
        });
    let heads = prop::sample::subsequence((0..12).collect::<Vec<_>>(), 1..4);
    let head_size = prop::sample::select(vec![8, 16, 20, 24, 32, 33, 64, 96, 128]);
    let sharpness = prop::sample::select(vec![0.1, 1.0, 8.0]);
    let gap = prop::sample::select(vec![0, 1, 16]);
    let shapes = (asking, heads, head_size, gap, sharpness, rate(), any::<u64>());
    let shapes = shapes.prop_map(|((lengths, queries), heads, head_size, gap, sharpness, rate, seed)| Case {
        lengths,
        queries,
        heads,
        head_size,
        gap,
        sharpness,
        rate,
        seed,
    });
    holds(20, shapes, |case| check(&case));
}

#[test]
fn the_reference_has_the_gradients_that_finite_differences_give() {
    let case = Case { rate: 0.3, ..case(&[4, 1, 6], Some(&[2, 1, 3]), &[0, 3], 5) };
    let (x, exact) = exact(&case);
    let objective = |x: &Operands| inner(&exact::attention(&case, x).context.value, &x.d_context);
    type Part = fn(&mut Operands) -> &mut Vec<f64>;
    let names: [(Part, &Sums); 3] =
        [(|x| &mut x.q, &exact.dq), (|x| &mut x.k, &exact.dk), (|x| &mut x.v, &exact.dv)];
    for (i, (of, gradient)) in names.into_iter().enumerate() {
        let direction = wide(&numbers(gradient.value.len(), 5, i as u32));
        let along = |h: f64| {
            let Operands { q, k, v, d_context } = &x;
            let mut x = Operands { q: q.clone(), k: k.clone(), v: v.clone(), d_context: d_context.clone() };
            *of(&mut x) = moved(of(&mut x), &direction, h);
            objective(&x)
        };
        let (found, expected) = (slope(along), inner(&gradient.value, &direction));
        assert!((found - expected).abs() < 1e-8, "{i}: {found} {expected}");
    }
}
