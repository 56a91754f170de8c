//! Criteria that look at weights or at outputs, against what is computed by other means.

use lottery::{
    engine::Machine,
    model::{Bert, Head},
    prune::{CriterionRules, Estimator, Kind, Mask, ModelProbe, Norm, PrunedUnits, RawImportance, Site},
    task::{Label, TaskId},
    text::Encoded,
    train::{Dataset, Progress, Silent},
};
use std::cell::RefCell;

use crate::{
    plain_bert::PlainBert,
    support::{Packed, config, random_bert},
};
use candle_core::DType;

const LAYERS: usize = 2;
const HEADS: usize = 3;

fn model() -> Bert {
    let config = config(LAYERS, 12, HEADS, 20);
    let shape = config.full_shape();
    random_bert(config, shape, 2, 5)
}

/// The sequences of a batch as examples.
fn dataset(packed: &Packed) -> Dataset {
    let of = |range: &[usize]| Encoded {
        ids: packed.ids[range[0]..range[1]].to_vec(),
        segments: packed.segments[range[0]..range[1]].iter().map(|s| *s as u8).collect(),
    };
    let encoded = packed.offsets.windows(2).map(of).collect();
    let labels = packed.classes.iter().map(|class| Label::Class(*class)).collect();
    Dataset { encoded, labels, ..Dataset::default() }
}

fn raw(estimator: Estimator, bert: &Bert, packed: &Packed, mask: &Mask, stale: bool) -> RawImportance {
    let (machine, data, mut silent) = (Machine::default(), dataset(packed), Silent);
    let progress = RefCell::new(&mut silent as &mut dyn Progress);
    let mut probe = ModelProbe::new(&machine, bert, &data, TaskId::Rte.spec(), &progress);
    let rules =
        CriterionRules { norm: Norm::None, pruned_units: PrunedUnits::Excluded, batch_size: 64, stale };
    estimator.raw(rules).raw(&mut probe, mask).unwrap()
}

fn smaller() -> Mask {
    let mut mask = Mask::full(LAYERS, HEADS);
    mask.prune(&Site::Heads(0), 1);
    mask.prune(&Site::Ffn(1), 0);
    mask
}

#[test]
fn activation_is_the_mean_norm_of_what_a_unit_gives() {
    let bert = model();
    let packed = Packed::random(&bert.config, &[5, 1, 33, 18], 2, 3);
    let found = raw(Estimator::Activation, &bert, &packed, &Mask::full(LAYERS, HEADS), false);
    let plain = PlainBert::new(&bert, DType::F64, None);
    plain.logits(&packed);
    let norms = plain.norms.borrow();
    let mean = |unit| {
        let all: &Vec<f64> = &norms[&unit];
        // The last layer has a row for each sequence alone.
        assert_eq!(all.len(), if unit.0 + 1 == LAYERS { 4 } else { 57 });
        all.iter().sum::<f64>() / all.len() as f64
    };
    for layer in 0..LAYERS {
        for head in 0..HEADS {
            let (found, expected) = (found.heads[layer * HEADS + head], mean((layer, Some(head))));
            assert!((found - expected).abs() < 1e-4 * expected, "{layer}.{head}: {found} {expected}");
        }
        let expected = mean((layer, None));
        assert!((found.ffns[layer] - expected).abs() < 1e-4 * expected, "FFN {layer}");
    }
    // Of a smaller network, without what is pruned unless that is asked for.
    let kept = raw(Estimator::Activation, &bert, &packed, &smaller(), false);
    let all = raw(Estimator::Activation, &bert, &packed, &smaller(), true);
    for (kind, kept, all) in [(Kind::Heads, &kept.heads, &all.heads), (Kind::Ffns, &kept.ffns, &all.ffns)] {
        for ((kept, all), flag) in kept.iter().zip(all).zip(smaller().flags(kind)) {
            assert_eq!(kept.is_nan(), !flag);
            assert!(all.is_finite() && (!flag || (kept - all).abs() < 1e-4 * all), "{kept} {all}");
        }
    }
}

#[test]
fn the_size_of_a_unit_is_that_of_the_weights_which_its_removal_takes() {
    let bert = model();
    let packed = Packed::random(&bert.config, &[5], 2, 3);
    let whole = Mask::full(LAYERS, HEADS);
    let [l2, mean] =
        [Estimator::WeightL2, Estimator::WeightMean].map(|e| raw(e, &bert, &packed, &whole, false));
    // Σ w² and Σ |w| of the matrices of the encoder, and how many there are.
    let sums = |bert: &Bert| {
        let matrices = bert.params.layout.entries.iter().filter(|e| e.is_encoder() && e.decays());
        let weights = matrices.flat_map(|entry| bert.params.data[entry.range.clone()].iter());
        weights.fold([0.0; 3], |[squares, sizes, n], w| {
            let w = f64::from(*w);
            [squares + w * w, sizes + w.abs(), n + 1.0]
        })
    };
    let before = sums(&bert);
    for layer in 0..LAYERS {
        let heads = (0..HEADS).map(|head| (Site::Heads(layer), head, layer * HEADS + head));
        for (site, index, place) in heads.chain([(Site::Ffn(layer), 0, layer)]) {
            let mut mask = whole.clone();
            mask.prune(&site, index);
            let after = sums(&mask.apply(&bert).unwrap());
            let [squares, sizes, n] = [0, 1, 2].map(|i| before[i] - after[i]);
            let is_head = matches!(site, Site::Heads(_));
            let of = |raw: &RawImportance| if is_head { raw.heads[place] } else { raw.ffns[place] };
            assert!((of(&l2) - squares.sqrt()).abs() < 1e-9 && (of(&mean) - sizes / n).abs() < 1e-9);
        }
    }
    // Pruned units keep theirs.
    assert_eq!(raw(Estimator::WeightL2, &bert, &packed, &smaller(), false), l2);
}

#[test]
fn fisher_is_the_sum_of_squares_of_what_the_example_rule_sums() {
    let bert = model();
    assert_eq!(bert.head, Head::Classifier { labels: 2 });
    let packed = Packed::random(&bert.config, &[5, 9, 33, 18], 2, 3);
    let whole = Mask::full(LAYERS, HEADS);
    let fisher = raw(Estimator::Fisher, &bert, &packed, &whole, false);
    let mut expected = vec![0.0; LAYERS * HEADS];
    for sequence in 0..packed.sequences() {
        let alone = raw(Estimator::Example, &bert, &packed.alone(sequence), &whole, false);
        expected.iter_mut().zip(&alone.heads).for_each(|(sum, g)| *sum += g * g);
    }
    for (found, expected) in fisher.heads.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-3 * expected + 1e-12, "{found} {expected}");
    }
}
