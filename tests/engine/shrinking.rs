//! A unit behind a gate of 0, or a neuron that the down-projection ignores, and a unit that was removed are the same
//! thing.

use crate::support::{Packed, assert_close, config, logits, random_bert, stream, train_pass};
use lottery::{
    model::{Bert, BertConfig, Ffn, Gates, LayerShape, Pass, Workspace},
    ops::{dropout::DropoutPlan, rng::Stream},
};

/// The gates of 0 and 1 that leave these units.
pub fn gates_of(config: &BertConfig, shape: &[LayerShape]) -> Gates {
    let mut heads = vec![0.0; shape.len() * config.num_attention_heads];
    for (l, layer) in shape.iter().enumerate() {
        layer.heads.iter().for_each(|h| heads[l * config.num_attention_heads + h] = 1.0);
    }
    Gates { heads, ffns: shape.iter().map(|l| f32::from(l.ffn.is_present())).collect() }
}

/// The model whose removed neurons have zeros in the down-projection.
fn without_neurons(bert: &Bert, shape: &[LayerShape]) -> Bert {
    let mut masked = bert.clone();
    let f = bert.config.intermediate_size;
    for (layer, slots) in shape.iter().zip(&bert.params.layout.layers) {
        if let Ffn::Neurons(kept) = &layer.ffn {
            // (H, F)
            for row in masked.params.data[slots.down_weight.clone()].chunks_mut(f) {
                (0..f).filter(|neuron| !kept.contains(neuron)).for_each(|neuron| row[neuron] = 0.0);
            }
        }
    }
    masked
}

fn random_shape(config: &BertConfig, draw: &mut Stream) -> Vec<LayerShape> {
    let chance = draw.uniform();
    let mut some_of = |all| (0..all).filter(|_| draw.uniform() < chance).collect::<Vec<usize>>();
    let mut layer = || {
        let heads = some_of(config.num_attention_heads);
        let ffn = match some_of(2)[..] {
            [] => Ffn::Absent,
            [_] => Ffn::of_neurons(some_of(config.intermediate_size), config.intermediate_size),
            _ => Ffn::Whole,
        };
        LayerShape { heads, ffn }
    };
    (0..config.num_hidden_layers).map(|_| layer()).collect()
}

fn some_shapes(config: &BertConfig) -> Vec<Vec<LayerShape>> {
    let mut draw = stream(77);
    let mut shapes: Vec<_> = (0..12).map(|_| random_shape(config, &mut draw)).collect();
    let kind = |heads: &[usize], ffn: bool| LayerShape { heads: heads.to_vec(), ffn: ffn.into() };
    let n = config.num_hidden_layers;
    shapes.push(vec![kind(&[], false); n]);
    shapes.push(vec![kind(&[], true); n]);
    shapes.push(vec![kind(&[1], false); n]);
    let heads = |heads: &[usize], ffn| LayerShape { heads: heads.to_vec(), ffn };
    shapes.push(vec![heads(&[0, 2], Ffn::Neurons(vec![])); n]);
    shapes.push(vec![heads(&[], Ffn::Neurons(vec![3, 15])); n]);
    shapes.push(config.full_shape());
    shapes
}

#[test]
fn masked_logits_equal_shrunk_logits_for_random_masks_and_emptied_layers() {
    let config = config(4, 40, 5, 64);
    let bert = random_bert(config.clone(), config.full_shape(), 3, 1);
    let packed = Packed::random(&config, &[12, 1, 40, 7], 3, 2);
    let full = logits(&bert, &packed, &Pass::default());
    for shape in some_shapes(&config) {
        let gates = gates_of(&config, &shape);
        let masked = logits(
            &without_neurons(&bert, &shape),
            &packed,
            &Pass { gates: Some(&gates), ..Pass::default() },
        );
        let small = bert.shrunk(&shape);
        assert_close(&masked, &logits(&small, &packed, &Pass::default()), 1e-5, &format!("{shape:?}"));
        let unpruned = shape == config.full_shape();
        assert_eq!(masked == full, unpruned, "a mask changes the logits: {shape:?}");
        assert_eq!(small.params.layout.parameters() < bert.params.layout.parameters(), !unpruned);
    }
}

#[test]
fn a_masked_model_and_the_shrunk_one_have_the_same_weight_gradients_under_the_same_dropout() {
    let config = config(3, 24, 3, 32);
    let bert = random_bert(config.clone(), config.full_shape(), 2, 3);
    let packed = Packed::random(&config, &[6, 1, 15], 2, 4);
    let plan = DropoutPlan { seed: 1, step: 5, hidden: 0.1, attention: 0.1, classifier: 0.1 };
    let mut workspace = Workspace::default();
    for shape in some_shapes(&config) {
        let gates = gates_of(&config, &shape);
        let pass = Pass { gates: Some(&gates), dropout: Some(&plan), ..Pass::default() };
        let mut masked = without_neurons(&bert, &shape);
        masked.params.data = train_pass(&masked, &packed, &pass, &mut workspace).1;
        let small = bert.shrunk(&shape);
        let pass = Pass { dropout: Some(&plan), ..Pass::default() };
        let gradient = train_pass(&small, &packed, &pass, &mut workspace).1;
        // Shrinking the gradient as if it were weights leaves the gradients of what remains.
        assert_close(&masked.shrunk(&shape).params.data, &gradient, 2e-5, &format!("{shape:?}"));
    }
}

#[test]
fn shrinking_in_two_steps_equals_shrinking_at_once() {
    let config = config(2, 40, 5, 16);
    let bert = random_bert(config.clone(), config.full_shape(), 2, 5);
    let kind = |heads: &[usize], ffn: bool| LayerShape { heads: heads.to_vec(), ffn: ffn.into() };
    let halfway = bert.shrunk(&[kind(&[0, 2, 4], true), kind(&[1, 2, 3], true)]);
    let end = [kind(&[2, 4], false), kind(&[1], true)];
    assert_eq!(halfway.shrunk(&end), bert.shrunk(&end));
    let kind = |heads: &[usize], neurons: &[usize]| LayerShape {
        heads: heads.to_vec(),
        ffn: Ffn::Neurons(neurons.to_vec()),
    };
    let halfway = bert.shrunk(&[kind(&[0], &[0, 3, 4, 9, 15]), kind(&[1, 3], &[1, 2])]);
    let end = [kind(&[0], &[3, 9, 15]), kind(&[3], &[])];
    assert_eq!(halfway.shrunk(&end), bert.shrunk(&end));
    assert_eq!(end[0].ffn, halfway.shrunk(&end).shape[0].ffn);
}

#[test]
fn a_shrunk_model_at_its_old_size_computes_the_same_with_zeros() {
    let config = config(4, 40, 5, 64);
    let bert = random_bert(config.clone(), config.full_shape(), 3, 7);
    let packed = Packed::random(&config, &[12, 1, 40, 7], 3, 8);
    for shape in some_shapes(&config) {
        let small = bert.shrunk(&shape);
        let whole = small.expanded();
        assert_eq!((&whole.shape, whole.params.layout == bert.params.layout), (&config.full_shape(), true));
        let [a, b] = [&small, &whole].map(|bert| logits(bert, &packed, &Pass::default()));
        assert_close(&a, &b, 1e-5, &format!("{shape:?}"));
        assert_eq!(whole.shrunk(&shape), small, "{shape:?}");
        assert_eq!(whole == bert, shape == config.full_shape());
    }
}
