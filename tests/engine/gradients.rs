//! Every parameter's gradient against autograd on the plain BERT, and that against finite differences.

use crate::{
    plain_bert::{PlainBert, scalar, values},
    support::{
        Packed, config, distance, masked_pass, norm, random_bert, random_bert_with, stream, train_pass,
    },
};
use candle_core::{DType, Tensor};
use lottery::{
    engine::{Engine, Goal, Machine},
    model::{
        Bert, BertConfig, Ffn, Head, LayerShape, Pass, Workspace,
        family::{BERT, Family},
    },
    ops::{
        dropout::DropoutPlan,
        optimizer::{AdamW, Optimizer},
    },
};

/// Largest ‖engine - reference‖ allowed, as a part of the tensor's gradient; measured: below 3e-6.
const TOLERANCE: f64 = 1e-5;
/// Gradients that vanish by symmetry (keys' biases) hold rounding errors only: a part of the whole gradient.
const FLOOR: f64 = 1e-7;

/// As in DistilBERT.
static DROPS_SPAN_INPUT: Family = Family { drops_span_input: true, ..BERT };

/// Layers that lost heads, all heads and some neurons, the FFN, or everything.
fn thinned(config: &BertConfig) -> Vec<LayerShape> {
    let all = config.num_attention_heads;
    let all_neurons = config.intermediate_size;
    let kinds = [
        LayerShape { heads: (0..all).step_by(2).collect(), ffn: true.into() },
        LayerShape { heads: vec![], ffn: Ffn::Neurons((0..all_neurons).skip(1).step_by(3).collect()) },
        LayerShape { heads: vec![all - 1], ffn: false.into() },
        LayerShape { heads: vec![], ffn: false.into() },
    ];
    (0..config.num_hidden_layers).map(|l| kinds[l % kinds.len()].clone()).collect()
}

pub fn compare(
    bert: &Bert,
    packed: &Packed,
    dropout: Option<&DropoutPlan>,
    workspace: &mut Workspace,
) -> f64 {
    let pass = Pass { dropout, ..Pass::default() };
    let (loss, gradient) = match bert.head {
        Head::Classifier { .. } | Head::Spans => train_pass(bert, packed, &pass, workspace),
        Head::MaskedLm => masked_pass(bert, packed, &pass, workspace),
    };
    let plain = PlainBert::new(bert, DType::F64, dropout.copied());
    let (expected_loss, expected) = plain.gradients(packed);
    assert!((loss - expected_loss).abs() < 1e-5 * expected_loss.max(1.0), "{loss} {expected_loss}");
    let of = |name: &str, n: usize| expected.get(&plain.vars[name]).map_or(vec![0.0; n], values);
    let entries = &bert.params.layout.entries;
    let whole = norm(&entries.iter().flat_map(|e| of(&e.name, e.range.len())).collect::<Vec<_>>());
    let mut worst = 0f64;
    for entry in entries {
        let exact = of(&entry.name, entry.range.len());
        let error = distance(&gradient[entry.range.clone()], &exact);
        let size = norm(&exact);
        assert!(
            error <= TOLERANCE * size + FLOOR * whole,
            "{}: ‖difference‖ {error:e} of ‖gradient‖ {size:e} in {:?}, dropout {dropout:?}",
            entry.name,
            bert.shape
        );
        if size > 1e-3 * whole {
            worst = worst.max(error / size);
        }
    }
    // Nothing may be written between the tensors.
    let inside: f64 = entries.iter().map(|e| norm_of(&gradient[e.range.clone()]).powi(2)).sum();
    assert!((inside.sqrt() - norm_of(&gradient)).abs() < 1e-9 * whole);
    worst
}

fn norm_of(x: &[f32]) -> f64 {
    norm(&x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>())
}

fn random_lengths(seed: u64) -> Vec<usize> {
    let mut draw = stream(seed);
    let count = 1 + draw.below(5);
    let mut lengths: Vec<usize> = (0..count).map(|_| 1 + draw.below(30) as usize).collect();
    lengths.insert(draw.below(count + 1) as usize, 1);
    lengths
}

#[test]
fn every_gradient_equals_autograd_on_the_plain_bert() {
    // (layers, hidden, heads, inner): head sizes 8, 12, 16, 20, 32, 64, hidden not always a multiple of 16.
    let shapes =
        [(1, 16, 2, 20), (2, 24, 2, 40), (3, 40, 5, 52), (4, 60, 3, 33), (4, 64, 2, 96), (4, 128, 2, 70)];
    // One workspace for all: what an earlier batch left must not matter.
    let mut workspace = Workspace::default();
    let mut worst = 0f64;
    for (i, (layers, hidden, heads, inner)) in shapes.into_iter().enumerate() {
        let config = config(layers, hidden, heads, inner);
        for shape in [config.full_shape(), thinned(&config)] {
            for labels in [1, 3] {
                let seed = (10 * i + labels) as u64;
                let bert = random_bert(config.clone(), shape.clone(), labels, seed);
                let packed = Packed::random(&config, &random_lengths(seed), labels, seed + 1);
                let plan = DropoutPlan { seed, step: 3, hidden: 0.1, attention: 0.2, classifier: 0.1 };
                for dropout in [None, Some(&plan)] {
                    worst = worst.max(compare(&bert, &packed, dropout, &mut workspace));
                }
                // The same batch again, for models that predict masked words, and spans.
                for head in [Head::MaskedLm, Head::Spans] {
                    let family = if head == Head::Spans { &DROPS_SPAN_INPUT } else { config.family };
                    let config = BertConfig { family, ..config.clone() };
                    let bert = random_bert_with(config, shape.clone(), head, seed);
                    for dropout in [None, Some(&plan)] {
                        worst = worst.max(compare(&bert, &packed, dropout, &mut workspace));
                    }
                }
            }
        }
    }
    eprintln!("largest relative difference of a tensor's gradient: {worst:.1e}");
}

#[test]
fn gradients_hold_at_the_longest_sequence_and_at_a_single_token() {
    let config = config(2, 32, 4, 48);
    let bert = random_bert(config.clone(), config.full_shape(), 2, 8);
    let plan = DropoutPlan { seed: 4, step: 1, hidden: 0.1, attention: 0.1, classifier: 0.1 };
    for lengths in [vec![160], vec![1], vec![1, 1, 1], vec![2, 160, 1, 33]] {
        let packed = Packed::random(&config, &lengths, 2, 9);
        for dropout in [None, Some(&plan)] {
            compare(&bert, &packed, dropout, &mut Workspace::default());
        }
    }
}

#[test]
fn gradients_hold_where_a_row_is_wider_than_1024() {
    let config = config(1, 1040, 13, 16);
    let bert = random_bert(config.clone(), config.full_shape(), 2, 1);
    let packed = Packed::random(&config, &[3, 2], 2, 2);
    let plan = DropoutPlan { seed: 3, step: 1, hidden: 0.1, attention: 0.1, classifier: 0.1 };
    compare(&bert, &packed, Some(&plan), &mut Workspace::default());
}

#[test]
fn each_kind_of_emptied_layer_may_stand_first_and_last() {
    let config = config(2, 24, 3, 28);
    let kinds = [(vec![], true), (vec![1], false), (vec![], false), (vec![0, 2], true)];
    let plan = DropoutPlan { seed: 2, step: 7, hidden: 0.15, attention: 0.1, classifier: 0.15 };
    for first in &kinds {
        for last in &kinds {
            let shape =
                [first, last].map(|(heads, ffn)| LayerShape { heads: heads.clone(), ffn: (*ffn).into() });
            let bert = random_bert(config.clone(), shape.to_vec(), 3, 5);
            let packed = Packed::random(&config, &[4, 1, 9], 3, 6);
            compare(&bert, &packed, Some(&plan), &mut Workspace::default());
        }
    }
}

#[test]
fn autograd_of_the_plain_bert_agrees_with_finite_differences() {
    let config = config(2, 12, 3, 10);
    let shape = vec![config.full_shape()[0].clone(), LayerShape { heads: vec![0, 2], ffn: true.into() }];
    for (labels, head) in [
        (1, Head::Classifier { labels: 1 }),
        (3, Head::Classifier { labels: 3 }),
        (3, Head::MaskedLm),
        (3, Head::Spans),
    ] {
        let bert = random_bert_with(config.clone(), shape.clone(), head, 31);
        let packed = Packed::random(&config, &[5, 1, 3], labels, 32);
        let plan = DropoutPlan { seed: 6, step: 2, hidden: 0.1, attention: 0.2, classifier: 0.1 };
        let plain = PlainBert::new(&bert, DType::F64, Some(plan));
        let (_, gradients) = plain.gradients(&packed);
        let mut draw = stream(33);
        let gates = [&plain.head_gates, &plain.ffn_gates];
        for var in plain.vars.values().chain(gates) {
            let old = var.as_tensor().copy().unwrap();
            let gradient = gradients.get(var).map(values).unwrap_or(vec![0.0; old.elem_count()]);
            // The slope along a random direction touches every element at once.
            let direction: Vec<f64> = gradient.iter().map(|_| draw.normal()).collect();
            let along = Tensor::from_slice(&direction, old.dims(), old.device()).unwrap();
            let loss_at = |step: f64| {
                var.set(&(&old + (&along * step).unwrap()).unwrap()).unwrap();
                scalar(&plain.loss(&packed))
            };
            // Central differences at h and 2h, extrapolated: the error is of fourth order.
            let h = 2e-4;
            let slope = |h: f64| (loss_at(h) - loss_at(-h)) / (2.0 * h);
            let slope = (4.0 * slope(h) - slope(2.0 * h)) / 3.0;
            var.set(&old).unwrap();
            let exact: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let bound = 1e-7 * norm(&gradient) * norm(&direction) + 1e-9;
            assert!((slope - exact).abs() < bound, "{:?}: {slope} {exact}", old.dims());
        }
    }
}

#[test]
fn an_engines_weight_gradient_is_the_pass_without_dropout_and_changes_nothing() {
    let optimizer = Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });
    let config = config(4, 24, 3, 40);
    let shape = thinned(&config);
    let bert = random_bert(config, shape, 3, 5);
    let packed = Packed::random(&bert.config, &[7, 1, 30], 3, 6);
    let mut workspace = Workspace::default();
    let (_, expected) = train_pass(&bert, &packed, &Pass::default(), &mut workspace);
    let expected = (workspace.logits().to_vec(), expected);
    let found = |engine: &mut dyn Engine| {
        engine.weight_gradient(&packed.input(), Goal::Labels(packed.targets(3))).unwrap().wait().unwrap()
    };
    let state = optimizer.state(bert.params.data.len());
    let mut trainer = Machine::default().trainer(bert.clone(), state.clone(), None).unwrap();
    let mut reader = Machine::default().reader(&bert).unwrap();
    for _ in 0..2 {
        assert_eq!(found(&mut *trainer), expected);
        assert_eq!(found(&mut *reader), expected);
    }
    assert_eq!(trainer.state().unwrap(), (&bert.params.data[..], &state));
}
