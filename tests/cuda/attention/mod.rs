use std::rc::Rc;

use lottery::{
    error::Result,
    ops::{
        cuda::{
            Buffer, Format, Gpu,
            attention::{self, Mask, Saved, Shape},
            download,
        },
        dropout::DropoutPlan,
    },
};

use crate::support::{assert_close, assert_within, empty, on_device, on_devices, values};

mod case;

use case::{Case, Layout, Layout::*, Outcome, Setup, UNTOUCHED, case, check_bits, inputs, on_the_cpu};

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
    let (log_sums, scratch) =
        (empty(gpu, rows * shape.heads, Format::F32)?, empty(gpu, rows * shape.heads, Format::F32)?);
    let bits = Buffer::new(gpu);
    bits.upload(&vec![UNTOUCHED; attention::words_of_bits(format, &shape)])?;
    let mask = Some(Mask { plan, layer: 3, bits: bits.address() });
    let to = setup.context.on(&context, format);
    attention::forward(&**gpu, format, q, k, v, &shape, mask, log_sums.address(), to)?;
    check_bits(
        case,
        setup,
        plan,
        &download(&**gpu, bits.address(), attention::words_of_bits(format, &shape))?,
    );
    let saved = Saved { q, k, v, context: to, log_sums: log_sums.address() };
    let d = setup.context.on(&d, format);
    attention::backward(&**gpu, format, d, &saved, &shape, mask, scratch.address(), dq, dk, dv)?;

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

/// Each case on each device compared with the CPU.
fn compare(test: &str, cases: &[Case]) {
    on_devices(test, |gpu, format| {
        for case in cases {
            let Case { lengths, heads, head_size, rate, layout, .. } = case;
            let what =
                format!("{format:?} {lengths:?} heads {heads:?} of {head_size}, rate {rate}, {layout:?}");
            let setup = Setup::new(case);
            let (qkv, d, plan) = inputs(case, &setup, format);
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
        }
        Ok(())
    });
}

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
fn attention_of_wide_heads_agrees_with_the_cpu() {
    compare(
        "attention",
        &[case(&[(130, 130)], &[5], 64, 0.1, Together), case(&[(3, 3), (65, 65)], &[1], 128, 0.2, Together)],
    );
}

#[test]
fn attention_of_longer_sequences_agrees_with_the_cpu() {
    compare("attention", &[case(&[(5, 5), (201, 201)], &[11], 32, 0.5, Together)]);
}

/// Of scores about ±150 no exponential is a number, nor those of keys that are not there beside them.
#[test]
fn attention_of_scores_far_from_zero_agrees_with_the_cpu() {
    for apart in [5.0, -5.0] {
        compare("attention", &[Case { apart, ..case(&[(35, 35)], &[2], 32, 0.1, Together) }]);
    }
    compare("attention", &[Case { apart: 6.0, ..case(&[(9, 35)], &[2], 12, 0.1, Odd) }]);
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
            case(&[(1, 2300)], &[1], 8, 0.1, Chosen),
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

#[test]
fn attention_repeated_has_the_same_bits() {
    let case = case(&[(33, 70), (2, 5)], &[1, 3], 32, 0.1, Chosen);
    on_devices("attention", |gpu, format| {
        let setup = Setup::new(&case);
        let (qkv, d, plan) = inputs(&case, &setup, format);
        let run = || -> Result<Vec<u32>> {
            let found = on_the_device(gpu, format, &case, &setup, &qkv, &d, &plan)?;
            Ok(found.iter().flatten().map(|v| v.to_bits()).collect())
        };
        let first = run()?;
        assert!((0..2).all(|_| run().unwrap() == first));
        Ok(())
    });
}
