//! What searches and criteria measure on a model.

use lottery::{
    engine::{Goal, Machine},
    model::{Bert, Head, Pass, Workspace},
    ops::loss,
    prune::{Bits, GateSums, Kind, Mask, ModelProbe, Probe, Site},
    task::{Label, TaskId},
    text::{Encoded, Masking, Tokenizer},
    train::{Dataset, Progress, dataset::input, logits},
};
use std::{cell::RefCell, sync::Arc};

use crate::support::{config, random_bert, random_bert_with, stream};

const LAYERS: usize = 2;
const HEADS: usize = 3;
const HEAD: Head = Head::Classifier { labels: 2 };

fn model() -> Bert {
    let config = config(LAYERS, 12, HEADS, 20);
    let shape = config.full_shape();
    random_bert(config, shape, 2, 5)
}

fn data() -> Dataset {
    let mut draw = stream(8);
    let mut example = |n: usize| {
        let ids = (0..3 + n % 9).map(|_| (draw.uniform() * 61.0) as u32).collect::<Vec<_>>();
        (Encoded { segments: vec![0; ids.len()], ids }, Label::Class(n as u32 % 2))
    };
    let (encoded, labels) = (0..45).map(&mut example).unzip();
    Dataset { encoded, labels, ..Dataset::default() }
}

/// Counts the passes that are reported.
struct Passes(u64);

impl Progress for Passes {
    fn begin(&mut self, _: &str, _: u64) {}
    fn step(&mut self, done: u64, _: &str) {
        self.0 = done;
    }
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
}

/// What `measure` finds with a probe of this model, and the number of passes.
fn probed<T>(bert: &Bert, measure: impl FnOnce(&mut ModelProbe) -> T) -> (T, u64) {
    probed_on(bert, &data(), measure)
}

fn probed_on<T>(bert: &Bert, data: &Dataset, measure: impl FnOnce(&mut ModelProbe) -> T) -> (T, u64) {
    let machine = Machine::default();
    let mut passes = Passes(0);
    let progress = RefCell::new(&mut passes as &mut dyn Progress);
    let found = measure(&mut ModelProbe::new(&machine, bert, data, TaskId::Rte.spec(), &progress));
    (found, passes.0)
}

fn gates(probe: &mut ModelProbe, mask: &Mask, every_unit: bool) -> Vec<GateSums> {
    let mut all = Vec::new();
    probe.gate_gradients(mask, every_unit, &mut |example| all.push(example.clone())).unwrap();
    all
}

/// One head and one FFN are pruned.
fn smaller() -> Mask {
    let mut mask = Mask::full(LAYERS, HEADS);
    mask.prune(&Site::Heads(1), 2);
    mask.prune(&Site::Ffn(0), 0);
    mask
}

/// And half the neurons of the other FFN, and half the weights of a matrix.
fn smallest() -> Mask {
    let tensor = "bert.encoder.layer.0.attention.self.value.weight".to_owned();
    let even = |len: usize| -> Bits { (0..len).map(|at| at % 2 == 0).collect() };
    smaller().with(Site::Neurons(1), even(20)).with(Site::Weights(tensor), even(144))
}

#[test]
fn a_pass_for_gate_gradients_knows_the_metric_too() {
    let bert = model();
    for mask in [smaller(), smallest()] {
        let (alone, passes) = probed(&bert, |probe| probe.metric(&mask).unwrap());
        assert_eq!(passes, 1);
        let (both, passes) = probed(&bert, |probe| {
            let examples = gates(probe, &mask, false);
            assert_eq!(examples.len(), 45);
            probe.metric(&mask).unwrap()
        });
        assert_eq!((both, passes), (alone, 1));
        let (_, passes) = probed(&bert, |probe| {
            gates(probe, &mask, false);
            probe.metric(&probe.whole()).unwrap()
        });
        assert_eq!(passes, 2);
    }
}

#[test]
fn pruned_units_have_gradients_only_when_every_unit_is_measured() {
    let (bert, mask) = (model(), smaller());
    let (kept, _) = probed(&bert, |probe| gates(probe, &mask, false));
    let (all, _) = probed(&bert, |probe| gates(probe, &mask, true));
    for (kept, all) in kept.iter().zip(&all) {
        for (kind, some, every) in
            [(Kind::Heads, &kept.heads, &all.heads), (Kind::Ffns, &kept.ffns, &all.ffns)]
        {
            for ((some, every), kept) in some.iter().zip(every).zip(mask.flags(kind)) {
                assert_eq!(some.is_nan(), !kept);
                // A gate at 0 and a removed unit leave the same network.
                assert!(every.is_finite() && (!kept || (some - every).abs() < 1e-4), "{some} {every}");
            }
        }
    }
}

#[test]
fn gates_are_those_of_the_network_without_its_pruned_weights() {
    let (bert, mask) = (model(), smallest());
    let (found, _) = probed(&bert, |probe| gates(probe, &mask, false));
    // The same network, its pruned weights overwritten and its neurons cut by hand.
    let mut zeroed = bert.clone();
    let mut zero = |name: &str, is_pruned: &dyn Fn(usize) -> bool| {
        let (entry, _) = zeroed.params.named(name).unwrap();
        let range = entry.range.clone();
        let values = &mut zeroed.params.data[range];
        values.iter_mut().enumerate().for_each(|(at, v)| *v = if is_pruned(at) { 0.0 } else { *v });
    };
    zero("bert.encoder.layer.0.attention.self.value.weight", &|at| at % 2 == 1);
    zero("bert.encoder.layer.1.output.dense.weight", &|at| at % 20 % 2 == 1);
    let (expected, _) = probed(&zeroed, |probe| gates(probe, &smaller(), false));
    for (found, expected) in found.iter().zip(&expected) {
        for (a, b) in found.heads.iter().chain(&found.ffns).zip(expected.heads.iter().chain(&expected.ffns)) {
            assert!(a.is_nan() && b.is_nan() || (a - b).abs() < 1e-4, "{a} {b}");
        }
    }
    assert_eq!(mask.apply(&bert).unwrap().params.layout.layers[1].up_bias.len(), 10);
    assert_eq!(bert.head, HEAD);
}

#[test]
fn gates_of_pruned_units_beside_removed_neurons_are_refused() {
    let bert = model();
    let (refused, _) = probed(&bert, |probe| probe.gate_gradients(&smallest(), true, &mut |_| {}));
    assert!(refused.unwrap_err().to_string().contains("removed FFN neurons"));
}

#[test]
fn weight_gradients_are_those_of_the_mean_loss_and_change_nothing() {
    let (bert, mask) = (model(), smallest());
    let gradients = |examples| {
        probed(&bert, |probe| {
            let mut all: Vec<Vec<f32>> = Vec::new();
            probe.weight_gradients(&mask, examples, &mut |_, gradient| all.push(gradient.to_vec())).unwrap();
            (all, probe.metric(&mask).unwrap())
        })
    };
    let ((whole, metric), passes) = gradients(45);
    let ((parts, _), _) = gradients(20);
    assert_eq!((whole.len(), parts.len(), passes), (1, 3, 1));
    assert_eq!(metric, probed(&bert, |probe| probe.metric(&mask).unwrap()).0);
    // The mean of 45 examples from those of 20, 20 and 5.
    for (at, value) in whole[0].iter().enumerate() {
        let mean = (20.0 * (parts[0][at] + parts[1][at]) + 5.0 * parts[2][at]) / 45.0;
        assert!((value - mean).abs() < 1e-5, "{value} {mean}");
    }
    // And the slope of the loss along the gradient.
    let applied = mask.apply(&bert).unwrap();
    let data = data();
    let all: Vec<usize> = (0..data.len()).collect();
    let (batch, labels) = data.batch(&all);
    let loss = |step: f32| {
        let mut moved = applied.clone();
        moved.params.data.iter_mut().zip(&whole[0]).for_each(|(w, g)| *w += step * g);
        let mut workspace = Workspace::default();
        moved.forward(&input(&batch), &Pass::default(), &mut workspace);
        let mut unused = vec![0.0; workspace.logits().len()];
        let Goal::Labels(targets) = labels.goal() else { panic!("classes") };
        loss::mean(workspace.logits(), targets, &mut unused)
    };
    let squared: f64 = whole[0].iter().map(|g| f64::from(*g).powi(2)).sum();
    let slope = (loss(1e-3) - loss(-1e-3)) / 2e-3;
    assert!((slope - squared).abs() < 0.02 * squared, "{slope} {squared}");
}

/// The mean loss of each block's hidden words.
fn losses(bert: &Bert, data: &Dataset) -> Vec<f64> {
    let found = logits(&mut *Machine::default().reader(bert).unwrap(), data).unwrap();
    let mut rest = &found[..];
    let of_block = |index| {
        let (own, others) = rest.split_at(2 * data.hidden(index));
        rest = others;
        own.iter().step_by(2).map(|loss| f64::from(*loss)).sum::<f64>() / data.hidden(index) as f64
    };
    (0..data.len()).map(of_block).collect()
}

#[test]
fn gate_gradients_of_hidden_words_are_the_slopes_of_each_blocks_own_loss() {
    let config = config(LAYERS, 12, HEADS, 20);
    let bert = random_bert_with(config.clone(), config.full_shape(), Head::MaskedLm, 5);
    let folder = tempfile::tempdir().unwrap();
    let words: String = (0..56).map(|n| format!("w{n}\n")).collect();
    std::fs::write(folder.path().join("vocab.txt"), format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{words}"))
        .unwrap();
    let masking = Arc::new(Masking::new(&Tokenizer::from_folder(folder.path()).unwrap(), 0.3).unwrap());
    let data = Dataset { masking: Some(masking), ..data() };
    assert!((0..data.len()).all(|index| data.hidden(index) > 0));
    let whole = Mask::full(LAYERS, HEADS);
    let (found, _) = probed_on(&bert, &data, |probe| gates(probe, &whole, false));
    let step = 0.02;
    // A gate multiplies what a head gives to the output matrix, and what an FFN gives to its residual.
    let slopes = |change: &dyn Fn(&mut Bert, f32)| -> Vec<f64> {
        let [more, less] = [step, -step].map(|by| {
            let mut moved = bert.clone();
            change(&mut moved, 1.0 + by);
            losses(&moved, &data)
        });
        more.iter().zip(&less).map(|(a, b)| (a - b) / f64::from(2.0 * step)).collect()
    };
    for layer in 0..LAYERS {
        let slots = bert.params.layout.layers[layer].clone();
        let ffn = slopes(&|moved, factor| {
            let down = [slots.down_weight.clone(), slots.down_bias.clone()];
            down.into_iter().flatten().for_each(|at| moved.params.data[at] *= factor);
        });
        let heads = (0..HEADS).map(|head| {
            slopes(&|moved, factor| {
                let of_head = |at: &usize| (at - slots.output_weight.start) % 12 / 4 == head;
                slots.output_weight.clone().filter(of_head).for_each(|at| moved.params.data[at] *= factor);
            })
        });
        for (unit, slopes) in heads.chain([ffn]).enumerate() {
            for (sums, slope) in found.iter().zip(&slopes) {
                let own = if unit < HEADS { sums.heads[layer * HEADS + unit] } else { sums.ffns[layer] };
                assert!(
                    (own - slope).abs() < 2e-3 + 0.02 * slope.abs(),
                    "layer {layer}, unit {unit}: {own} {slope}"
                );
            }
            assert!(slopes.iter().any(|slope| slope.abs() > 0.01), "layer {layer}, unit {unit}");
        }
    }
    // The last layer computes the hidden words alone.
    let ((), _) = probed_on(&bert, &data, |probe| {
        let mut index = 0;
        let mut example = |_: &GateSums, rows: &[usize]| {
            assert_eq!(rows, [data.encoded[index].ids.len(), data.hidden(index)]);
            index += 1;
        };
        probe.output_norms(&whole, false, &mut example).unwrap();
    });
}
