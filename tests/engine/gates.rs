//! Gate gradients: per example, against autograd, and at gates of 0.

use crate::{
    plain_bert::{PlainBert, values},
    shrinking::gates_of,
    support::{Packed, config, distance, norm, random_bert, random_bert_with},
};
use candle_core::{DType, Device, Tensor};
use lottery::{
    model::{Bert, GateGradients, Gates, Head, LayerShape, Pass, Wanted, Workspace},
    ops::loss,
};

/// ∂(the example's own loss)/∂gate for every example: heads (layers · heads) and FFNs (layers), 0 where absent.
struct ExampleGradients {
    heads: Vec<Vec<f32>>,
    ffns: Vec<Vec<f32>>,
}

fn gate_gradients(
    bert: &Bert,
    packed: &Packed,
    gates: Option<&Gates>,
    out: &mut GateGradients,
    workspace: &mut Workspace,
) -> ExampleGradients {
    let pass = Pass { gates, keep: true, gate_gradients: true, ..Pass::default() };
    bert.forward(&packed.input(), &pass, workspace);
    let mut d_logits = vec![0.0; workspace.logits().len()];
    loss::per_example(workspace.logits(), packed.targets_of(bert), &mut d_logits);
    bert.backward(&packed.input(), &pass, workspace, &d_logits, Wanted::Gates(out));
    let (layers, total) = (bert.shape.len(), bert.config.num_attention_heads);
    let (b, t) = (packed.sequences(), packed.ids.len());
    let mut sums =
        ExampleGradients { heads: vec![vec![0.0; layers * total]; b], ffns: vec![vec![0.0; layers]; b] };
    assert_eq!(out.layers.len(), layers);
    for (l, (layer, shape)) in out.layers.iter().zip(&bert.shape).enumerate() {
        let last = l + 1 == layers && bert.head != Head::Spans;
        let rows = if last { b } else { t };
        assert_eq!(layer.heads.len(), rows * shape.heads.len());
        assert_eq!(layer.ffn.len(), if shape.ffn.is_present() { rows } else { 0 });
        for s in 0..b {
            for row in if last { s..s + 1 } else { packed.offsets[s]..packed.offsets[s + 1] } {
                for (place, head) in shape.heads.iter().enumerate() {
                    sums.heads[s][l * total + head] += layer.heads[row * shape.heads.len() + place];
                }
                sums.ffns[s][l] += layer.ffn.get(row).copied().unwrap_or(0.0);
            }
        }
    }
    sums
}

fn column_sums(rows: &[Vec<f32>]) -> Vec<f32> {
    (0..rows[0].len()).map(|c| rows.iter().map(|r| r[c]).sum()).collect()
}

fn compare(bert: &Bert, packed: &Packed, gates: Option<&Gates>, workspace: &mut Workspace) {
    let mut out = GateGradients::default();
    let batched = gate_gradients(bert, packed, gates, &mut out, workspace);
    // An example's sum can nearly cancel, so its rounding errors are measured against all the examples' gradients too.
    let whole = |rows: &[Vec<f32>]| norm(&rows.iter().flatten().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let (all_heads, all_ffns) = (whole(&batched.heads), whole(&batched.ffns));
    for s in 0..packed.sequences() {
        let alone = gate_gradients(bert, &packed.alone(s), gates, &mut out, workspace);
        for (a, b, all) in
            [(&batched.heads[s], &alone.heads[0], all_heads), (&batched.ffns[s], &alone.ffns[0], all_ffns)]
        {
            let b: Vec<f64> = b.iter().map(|v| f64::from(*v)).collect();
            assert!(distance(a, &b) <= 1e-5 * norm(&b) + 1e-6 * all, "example {s}: {a:?} {b:?}");
        }
    }
    let plain = PlainBert::new(bert, DType::F64, None);
    if let Some(gates) = gates {
        for (var, values) in [(&plain.head_gates, &gates.heads), (&plain.ffn_gates, &gates.ffns)] {
            let values = Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
            var.set(&values.to_dtype(DType::F64).unwrap()).unwrap();
        }
    }
    let (_, gradients) = plain.gradients(packed);
    for (var, rows) in [(&plain.head_gates, &batched.heads), (&plain.ffn_gates, &batched.ffns)] {
        let sums = column_sums(rows);
        // Autograd's loss is the batch's mean.
        let n = packed.sequences() as f64;
        let exact: Vec<f64> =
            gradients.get(var).map_or(vec![0.0; sums.len()], |g| values(g).iter().map(|v| v * n).collect());
        let error = distance(&sums, &exact);
        assert!(error <= 1e-5 * norm(&exact), "{error:e} of {:e}", norm(&exact));
    }
}

#[test]
fn a_batched_pass_gives_each_examples_gate_gradients_and_their_sums_equal_autograd() {
    let mut workspace = Workspace::default();
    for (layers, hidden, heads, inner, labels) in
        [(3, 24, 3, 40, 3), (1, 32, 4, 20, 2), (2, 64, 1, 33, 1), (4, 40, 5, 48, 2)]
    {
        let config = config(layers, hidden, heads, inner);
        let bert = random_bert(config.clone(), config.full_shape(), labels, 3);
        let packed = Packed::random(&config, &[5, 1, 19, 33, 2, 64], labels, 4);
        compare(&bert, &packed, None, &mut workspace);
        let bert = random_bert_with(config.clone(), config.full_shape(), Head::Spans, 5);
        compare(&bert, &packed, None, &mut workspace);
    }
}

#[test]
fn pruned_units_still_receive_their_gate_gradients() {
    let config = config(4, 24, 3, 40);
    let bert = random_bert(config.clone(), config.full_shape(), 3, 6);
    let spans = random_bert_with(config.clone(), config.full_shape(), Head::Spans, 8);
    let packed = Packed::random(&config, &[7, 1, 12], 3, 7);
    let kind = |heads: &[usize], ffn: bool| LayerShape { heads: heads.to_vec(), ffn: ffn.into() };
    let mut workspace = Workspace::default();
    for shape in [
        vec![kind(&[0, 2], true), kind(&[], true), kind(&[1], false), kind(&[0, 1, 2], true)],
        vec![kind(&[], false), kind(&[0], true), kind(&[], false), kind(&[2], false)],
        vec![kind(&[], false); 4],
    ] {
        let gates = gates_of(&config, &shape);
        compare(&bert, &packed, Some(&gates), &mut workspace);
        compare(&spans, &packed, Some(&gates), &mut workspace);
    }
    let fractions =
        Gates { heads: (1..=12).map(|i| i as f32 / 8.0).collect(), ffns: vec![0.5, 0.0, 1.5, 0.25] };
    compare(&bert, &packed, Some(&fractions), &mut workspace);
}

#[test]
fn a_shrunk_model_gives_the_gate_gradients_of_the_units_it_has() {
    let config = config(3, 24, 3, 40);
    let whole = random_bert(config.clone(), config.full_shape(), 3, 6);
    let kind = |heads: &[usize], ffn: bool| LayerShape { heads: heads.to_vec(), ffn: ffn.into() };
    let packed = Packed::random(&config, &[7, 1, 12], 3, 7);
    let mut workspace = Workspace::default();
    for shape in [
        [kind(&[1, 2], true), kind(&[], true), kind(&[0], false)],
        [kind(&[], false), kind(&[0, 2], false), kind(&[], true)],
        [kind(&[2], false), kind(&[0], true), kind(&[], false)],
    ] {
        compare(&whole.shrunk(&shape), &packed, None, &mut workspace);
    }
}
