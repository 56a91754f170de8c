use std::rc::Rc;

use lottery::{
    error::Result,
    ops::{
        attention::{self as cpu, RowsMut},
        cuda::{
            Buffer, Format, Gpu,
            attention::{self, Rows, Saved, Shape},
            download,
        },
        dropout::DropoutPlan,
    },
};

use crate::support::{assert_close, assert_within, empty, numbers, on_device, on_devices, values};

/// Where the matrices lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// q, k and v side by side in a matrix (T, 3A).
    Together,
    /// q (rows, A), and k and v side by side (T, 2A).
    Chosen,
    /// Each with three columns more, and its first row after one number: nothing is aligned.
    Odd,
}

struct Case {
    /// Of each sequence: its queries and its keys.
    lengths: &'static [(usize, usize)],
    heads: &'static [usize],
    head_size: usize,
    rate: f32,
    layout: Layout,
}

const fn case(
    lengths: &'static [(usize, usize)],
    heads: &'static [usize],
    head_size: usize,
    rate: f32,
    layout: Layout,
) -> Case {
    Case { lengths, heads, head_size, rate, layout }
}

/// A matrix of `rows` by `width` numbers inside a buffer, each row `stride` after the one before.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    stride: usize,
    rows: usize,
    width: usize,
}

impl Place {
    fn end(self) -> usize {
        self.first + self.rows.saturating_sub(1) * self.stride + if self.rows > 0 { self.width } else { 0 }
    }

    fn on(self, buffer: &Buffer, format: Format) -> Rows {
        Rows { address: buffer.address() + (self.first * format.bytes()) as u64, stride: self.stride }
    }

    /// The buffer's numbers in this place, without what lies between.
    fn read(self, all: &[f32]) -> Vec<f32> {
        (0..self.rows).flat_map(|r| &all[self.first + r * self.stride..][..self.width]).copied().collect()
    }
}

/// A case's shape, and where its operands are: q, k and v in up to three buffers.
struct Setup {
    queries: Vec<usize>,
    keys: Vec<usize>,
    width: usize,
    /// The buffer's number and the place in it, of q, k and v.
    qkv: [(usize, Place); 3],
    /// Of the context and its gradient.
    context: Place,
}

impl Setup {
    fn new(case: &Case) -> Self {
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
            Layout::Chosen => [
                (0, place(0, width, m)),
                (1, place(0, 2 * width, t)),
                (1, place(width, 2 * width, t)),
            ],
            Layout::Odd => [(0, m), (1, t), (2, t)].map(|(i, rows)| (i, place(1, width + 3, rows))),
        };
        let odd = case.layout == Layout::Odd;
        let context = if odd { place(1, width + 3, m) } else { place(0, width, m) };
        Self { queries, keys, width, qkv, context }
    }

    /// The exact sizes of q's, k's and v's buffers.
    fn sizes(&self) -> Vec<usize> {
        (0..=self.qkv[2].0)
            .map(|i| self.qkv.iter().filter(|(b, _)| *b == i).map(|(_, place)| place.end()).max().unwrap_or(0))
            .collect()
    }

    fn rows<'a>(&self, which: usize, buffers: &'a [Vec<f32>]) -> cpu::Rows<'a> {
        let (buffer, place) = self.qkv[which];
        cpu::Rows { data: &buffers[buffer][place.first..], stride: place.stride }
    }
}

/// Context, log-sum-exps, and the gradients of queries, keys and values.
type Outcome = [Vec<f32>; 5];

fn on_the_cpu(case: &Case, setup: &Setup, qkv: &[Vec<f32>], d: &[f32], plan: &DropoutPlan) -> Outcome {
    let Setup { queries, keys, width, .. } = setup;
    let (m, t) = (queries[queries.len() - 1], keys[keys.len() - 1]);
    let shape = cpu::Shape { heads: case.heads, head_size: case.head_size, queries, keys };
    let [q, k, v] = [0, 1, 2].map(|i| setup.rows(i, qkv));
    let mut probabilities = vec![0.0; shape.probabilities()];
    let mut context = vec![0.0; m * width];
    let to = RowsMut { data: &mut context, stride: *width };
    cpu::forward(q, k, v, &shape, Some((plan, 3)), &mut probabilities, to);
    let mut out = vec![0.0; (m + 2 * t) * width];
    let saved = cpu::Saved { q, k, v, probabilities: &probabilities };
    let to =
        cpu::QkvMut { data: &mut out, q: (0, *width), k: (m * width, *width), v: ((m + t) * width, *width) };
    let d = cpu::Rows { data: &d[setup.context.first..], stride: setup.context.stride };
    cpu::backward(d, &saved, &shape, Some((plan, 3)), to);

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

fn on_the_device(
    gpu: &Rc<dyn Gpu>,
    format: Format,
    case: &Case,
    setup: &Setup,
    qkv: &[Vec<f32>],
    d: &[f32],
    plan: &DropoutPlan,
) -> Result<Outcome> {
    let indices = |all: &[usize]| -> Result<Buffer> {
        let buffer = Buffer::new(gpu);
        buffer.upload(&all.iter().map(|v| *v as u32).collect::<Vec<_>>())?;
        Ok(buffer)
    };
    let (queries, keys, heads) = (indices(&setup.queries)?, indices(&setup.keys)?, indices(case.heads)?);
    let rows = setup.queries[setup.queries.len() - 1];
    let shape = Shape {
        sequences: case.lengths.len(),
        heads: case.heads.len(),
        head_size: case.head_size,
        queries: queries.address(),
        keys: keys.address(),
        numbers: heads.address(),
        longest_query: case.lengths.iter().map(|l| l.0).max().unwrap(),
        longest_key: case.lengths.iter().map(|l| l.1).max().unwrap(),
        rows,
    };
    let inputs = qkv.iter().map(|v| on_device(gpu, v, format)).collect::<Result<Vec<_>>>()?;
    let outputs = qkv.iter().map(|v| empty(gpu, v.len(), format)).collect::<Result<Vec<_>>>()?;
    let [q, k, v] = setup.qkv.map(|(buffer, place)| place.on(&inputs[buffer], format));
    let [dq, dk, dv] = setup.qkv.map(|(buffer, place)| place.on(&outputs[buffer], format));
    let (d, context) = (on_device(gpu, d, format)?, empty(gpu, setup.context.end(), format)?);
    let (log_sums, scratch) = (
        empty(gpu, rows * shape.heads, Format::F32)?,
        empty(gpu, rows * shape.heads, Format::F32)?,
    );
    let dropout = Some((plan, 3));
    let to = setup.context.on(&context, format);
    attention::forward(&**gpu, format, q, k, v, &shape, dropout, log_sums.address(), to)?;
    let saved = Saved { q, k, v, context: to, log_sums: log_sums.address() };
    let d = setup.context.on(&d, format);
    attention::backward(&**gpu, format, d, &saved, &shape, dropout, scratch.address(), dq, dk, dv)?;

    let context = values(gpu, &context, setup.context.end(), format)?;
    let gradients = outputs
        .iter()
        .zip(qkv)
        .map(|(buffer, values_in)| values(gpu, buffer, values_in.len(), format))
        .collect::<Result<Vec<_>>>()?;
    if case.layout == Layout::Odd && gpu.description().contains("emulation") {
        let untouched = |all: &[f32]| all.iter().filter(|v| v.is_nan()).count();
        let written = setup.context.read(&context).len();
        assert_eq!(untouched(&context), context.len() - written, "between the context's rows");
    }
    let [dq, dk, dv] = setup.qkv.map(|(buffer, place)| place.read(&gradients[buffer]));
    let log_sums = download(&**gpu, log_sums.address(), rows * shape.heads)?;
    Ok([setup.context.read(&context), log_sums, dq, dk, dv])
}

/// Each case on each device, compared with the CPU and with its own repetition.
fn compare(test: &str, cases: &[Case]) {
    on_devices(test, |gpu, format| {
        for case in cases {
            let Case { lengths, heads, head_size, rate, layout } = case;
            let what = format!("{format:?} {lengths:?} heads {heads:?} of {head_size}, rate {rate}, {layout:?}");
            let setup = Setup::new(case);
            let sizes = setup.sizes();
            let qkv: Vec<_> = (0..sizes.len())
                .map(|i| numbers(sizes[i], i + 1, format).iter().map(|v| v * 2.0).collect())
                .collect();
            let d = numbers(setup.context.end(), 9, format);
            let plan = DropoutPlan { seed: 7 << 40 | 5, step: 11, hidden: 0.0, attention: *rate };
            let expected = on_the_cpu(case, &setup, &qkv, &d, &plan);
            let found = on_the_device(gpu, format, case, &setup, &qkv, &d, &plan)?;
            let names = ["context", "log-sum-exps", "dq", "dk", "dv"];
            for ((found, expected), name) in found.iter().zip(&expected).zip(names) {
                let what = format!("{name} of {what}");
                if name == "log-sum-exps" {
                    assert_within(found, expected, 1e-5, &what);
                } else if expected.iter().all(|v| *v == 0.0) {
                    // A query with one key has no gradient but what rounding leaves of it.
                    let largest = d.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    let limit = if format == Format::F32 { 1e-6 } else { 1e-2 };
                    assert!(found.iter().all(|v| v.abs() <= limit * largest), "{what}: {found:?}");
                } else {
                    assert_close(found, expected, format, &what);
                }
            }
            let again = on_the_device(gpu, format, case, &setup, &qkv, &d, &plan)?;
            let bits = |all: &Outcome| all.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&found) == bits(&again), "{what}: repeated, it is something else");
        }
        Ok(())
    });
}

use Layout::{Chosen, Odd, Together};

#[test]
fn attention_and_its_gradients_agree_with_the_cpu_over_lengths_and_head_sizes() {
    compare(
        "attention",
        &[
            case(&[(1, 1)], &[0], 8, 0.0, Together),
            case(&[(17, 17), (1, 1), (64, 64)], &[2, 0], 16, 0.3, Together),
            case(&[(65, 65), (3, 3)], &[1], 24, 0.1, Together),
            case(&[(33, 33), (40, 40)], &[0, 3], 32, 0.0, Together),
            case(&[(20, 20)], &[4], 40, 0.2, Together),
        ],
    );
}

#[test]
fn attention_of_wide_heads_and_longer_sequences_agrees_with_the_cpu() {
    compare(
        "attention",
        &[
            case(&[(130, 130)], &[5], 64, 0.1, Together),
            case(&[(34, 34), (66, 66)], &[1], 128, 0.2, Together),
            case(&[(5, 5), (201, 201)], &[11], 32, 0.1, Together),
        ],
    );
}

#[test]
fn attention_with_fewer_queries_than_keys_agrees_with_the_cpu() {
    compare(
        "attention",
        &[
            case(&[(1, 17), (3, 66), (0, 4), (2, 2)], &[0, 2, 5], 16, 0.1, Chosen),
            case(&[(1, 1), (1, 130)], &[3], 64, 0.5, Chosen),
            case(&[(0, 3)], &[0], 32, 0.1, Chosen),
            // Too many elements for the mask to be drawn at once.
            case(&[(64, 521)], &[1], 8, 0.1, Chosen),
            case(&[(1, 4000)], &[1], 8, 0.1, Chosen),
        ],
    );
}

#[test]
fn attention_over_rows_that_nothing_aligns_agrees_with_the_cpu() {
    compare(
        "attention",
        &[
            case(&[(7, 7), (40, 40)], &[0, 1, 7], 5, 0.3, Odd),
            case(&[(9, 66)], &[2], 32, 0.1, Odd),
            case(&[(33, 33)], &[0], 130, 0.1, Together),
            case(&[(70, 70), (2, 2)], &[0, 2], 12, 0.1, Together),
        ],
    );
}
