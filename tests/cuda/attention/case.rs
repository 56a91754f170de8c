//! What attention is tested on, and what the CPU says to it.

use lottery::ops::{
    attention::{self as cpu, RowsMut},
    cuda::{Buffer, Format, attention::Rows},
    dropout::DropoutPlan,
};

use crate::support::{numbers, rounded};

/// Where the matrices lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    /// q, k and v side by side in a matrix (T, 3A).
    Together,
    /// q (rows, A), and k and v side by side (T, 2A).
    Chosen,
    /// Each with three columns more, and its first row after one number: nothing is aligned.
    Odd,
}

pub struct Case {
    /// Of each sequence: its queries and its keys.
    pub lengths: &'static [(usize, usize)],
    pub heads: &'static [usize],
    pub head_size: usize,
    pub rate: f32,
    pub layout: Layout,
    /// Added to all queries, and taken from all keys.
    pub apart: f32,
}

pub const fn case(
    lengths: &'static [(usize, usize)],
    heads: &'static [usize],
    head_size: usize,
    rate: f32,
    layout: Layout,
) -> Case {
    Case { lengths, heads, head_size, rate, layout, apart: 0.0 }
}

/// A matrix of `rows` by `width` numbers inside a buffer, each row `stride` after the one before.
#[derive(Clone, Copy)]
pub struct Place {
    first: usize,
    stride: usize,
    rows: usize,
    pub width: usize,
}

impl Place {
    pub fn end(self) -> usize {
        self.first + self.rows.saturating_sub(1) * self.stride + if self.rows > 0 { self.width } else { 0 }
    }

    pub fn on(self, buffer: &Buffer, format: Format) -> Rows {
        Rows { address: buffer.address() + (self.first * format.bytes()) as u64, stride: self.stride }
    }

    /// The buffer's numbers in this place, without what lies between.
    pub fn read(self, all: &[f32]) -> Vec<f32> {
        (0..self.rows).flat_map(|r| &all[self.first + r * self.stride..][..self.width]).copied().collect()
    }
}

/// A case's shape, and where its operands are: q, k and v in up to three buffers.
pub struct Setup {
    pub queries: Vec<usize>,
    pub keys: Vec<usize>,
    pub width: usize,
    /// The buffer's number and the place in it, of q, k and v.
    pub qkv: [(usize, Place); 3],
    /// Of the context and its gradient.
    pub context: Place,
}

impl Setup {
    pub fn new(case: &Case) -> Self {
        let (mut queries, mut keys) = (vec![0], vec![0]);
        for (m, t) in case.lengths {
            queries.push(queries[queries.len() - 1] + m);
            keys.push(keys[keys.len() - 1] + t);
        }
        let (m, t) = (queries[queries.len() - 1], keys[keys.len() - 1]);
        let width = case.heads.len() * case.head_size;
        let place = |first, stride, rows| Place { first, stride, rows, width };
        let qkv = match case.layout {
            Layout::Together => [0, 1, 2].map(|i| (0, place(i * width, 3 * width, t))),
            Layout::Chosen => {
                [(0, place(0, width, m)), (1, place(0, 2 * width, t)), (1, place(width, 2 * width, t))]
            }
            Layout::Odd => [(0, m), (1, t), (2, t)].map(|(i, rows)| (i, place(1, width + 3, rows))),
        };
        let odd = case.layout == Layout::Odd;
        let context = if odd { place(1, width + 3, m) } else { place(0, width, m) };
        Self { queries, keys, width, qkv, context }
    }

    /// The exact sizes of q's, k's and v's buffers.
    pub fn sizes(&self) -> Vec<usize> {
        (0..=self.qkv[2].0)
            .map(|i| {
                self.qkv.iter().filter(|(b, _)| *b == i).map(|(_, place)| place.end()).max().unwrap_or(0)
            })
            .collect()
    }

    pub fn rows<'a>(&self, which: usize, buffers: &'a [Vec<f32>]) -> cpu::Rows<'a> {
        let (buffer, place) = self.qkv[which];
        cpu::Rows { data: &buffers[buffer][place.first..], stride: place.stride }
    }
}

/// Context, log-sum-exps, and the gradients of queries, keys and values.
pub type Outcome = [Vec<f32>; 5];

pub fn on_the_cpu(case: &Case, setup: &Setup, qkv: &[Vec<f32>], d: &[f32], plan: &DropoutPlan) -> Outcome {
    let Setup { queries, keys, width, .. } = setup;
    let (m, t) = (queries[queries.len() - 1], keys[keys.len() - 1]);
    let shape = cpu::Shape { heads: case.heads, head_size: case.head_size, queries, keys };
    let [q, k, v] = [0, 1, 2].map(|i| setup.rows(i, qkv));
    let mut statistics = vec![0.0; shape.statistics()];
    let mut context = vec![0.0; m * width];
    let to = RowsMut { data: &mut context, stride: *width };
    cpu::forward(Format::F32, q, k, v, &shape, Some((plan, 3)), &mut statistics, to);
    let mut out = vec![0.0; (m + 2 * t) * width];
    let saved = cpu::Saved { q, k, v, statistics: &statistics };
    let [of_q, of_k, of_v] = [0, m, m + t].map(|row| (row * width, *width));
    let to = cpu::QkvMut { data: &mut out, of_kv: None, q: of_q, k: of_k, v: of_v };
    let d = cpu::Rows { data: &d[setup.context.first..], stride: setup.context.stride };
    cpu::backward(Format::F32, d, &saved, &shape, Some((plan, 3)), to);

    let mut log_sums = Vec::new();
    for (s, (m, t)) in case.lengths.iter().enumerate() {
        for (query, head) in (0..*m).flat_map(|i| (0..case.heads.len()).map(move |head| (i, head))) {
            let part = |rows: cpu::Rows, row: usize| {
                let at = row * rows.stride + head * case.head_size;
                rows.data[at..at + case.head_size].to_vec()
            };
            let q = part(q, queries[s] + query);
            let scores = (0..*t).map(|key| {
                let k = part(k, keys[s] + key);
                q.iter().zip(&k).map(|(a, b)| f64::from(a * b)).sum::<f64>() / (case.head_size as f64).sqrt()
            });
            log_sums.push(scores.map(f64::exp).sum::<f64>().ln() as f32);
        }
    }
    let (dq, rest) = out.split_at(m * width);
    let (dk, dv) = rest.split_at(t * width);
    [context, log_sums, dq.to_vec(), dk.to_vec(), dv.to_vec()]
}

/// What a case begins with: q's, k's and v's buffers, the context's gradient, and dropout.
pub fn inputs(case: &Case, setup: &Setup, format: Format) -> (Vec<Vec<f32>>, Vec<f32>, DropoutPlan) {
    let buffer = |(i, n): (usize, usize)| numbers(n, i + 1, format).iter().map(|v| v * 2.0).collect();
    let mut qkv: Vec<Vec<f32>> = setup.sizes().into_iter().enumerate().map(buffer).collect();
    for ((buffer, place), by) in setup.qkv.into_iter().zip([case.apart, -case.apart]) {
        for row in 0..place.rows {
            let at = place.first + row * place.stride;
            qkv[buffer][at..at + place.width].iter_mut().for_each(|v| *v = rounded(*v + by, format));
        }
    }
    let plan =
        DropoutPlan { seed: 7 << 40 | 5, step: 11, hidden: 0.0, attention: case.rate, classifier: 0.0 };
    (qkv, numbers(setup.context.end(), 9, format), plan)
}

/// What the words of a mask's bits are before the forward pass.
pub const UNTOUCHED: u32 = 0xA5C3_960F;

/// The bits that the forward pass left, if these kernels keep any, are those of the CPU's masks, zeros beyond a sequence's
/// last key; nothing else is written, and nothing at all where nothing is dropped or rows are not aligned.
pub fn check_bits(case: &Case, setup: &Setup, plan: &DropoutPlan, words: &[u32]) {
    let rows = setup.queries[setup.queries.len() - 1];
    let per_head = case.lengths.iter().map(|l| l.1.div_ceil(32)).max().unwrap();
    if words.is_empty() {
        return;
    }
    let mut expected = vec![UNTOUCHED; case.heads.len() * per_head * rows];
    for (h, head) in case.heads.iter().enumerate() {
        for (s, (queries, keys)) in case.lengths.iter().enumerate() {
            let Some(mask) = plan.attention(3, *head, s).filter(|_| case.layout != Layout::Odd) else {
                continue;
            };
            let mut multipliers = vec![0.0; queries * keys];
            mask.multipliers(0, &mut multipliers);
            for (query, of_query) in multipliers.chunks(*keys).enumerate() {
                for (word, of_word) in of_query.chunks(32).enumerate() {
                    let bits = (0..).zip(of_word).map(|(i, m)| u32::from(*m != 0.0) << i).sum();
                    expected[(h * per_head + word) * rows + setup.queries[s] + query] = bits;
                }
            }
        }
    }
    assert!(words == expected, "the mask's bits of {:?} heads {:?}", case.lengths, case.heads);
}
