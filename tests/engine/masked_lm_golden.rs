//! The masked-LM head against PyTorch's numbers (`tests/golden/masked_lm.py`).

use crate::{
    forward_golden::{assert_gradients, golden, golden_json, integers, numbers, push},
    support::{Packed, assert_close, masked_pass},
};
use lottery::model::{Head, Pass, Workspace, weights::Pretrained};

#[test]
fn logits_loss_and_gradients_of_hidden_words_equal_those_of_transformers_in_pytorch() {
    let golden_values = golden_json("masked_lm.json");
    let mut pretrained = Pretrained::load(&golden("tiny-words")).unwrap();
    let bert = pretrained.build(Head::MaskedLm, 0, false).unwrap();
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
    let mut packed = Packed::empty();
    for sequence in golden_values["sequences"].as_array().unwrap() {
        let begin = packed.ids.len();
        push(&mut packed, sequence);
        packed.masked.extend(integers(&sequence["masked"]).iter().map(|place| begin + *place as usize));
        packed.words.extend(integers(&sequence["words"]));
    }
    let mut workspace = Workspace::default();
    bert.forward_masked(&packed.input(), &packed.masked, &Pass::default(), &mut workspace);
    let theirs: Vec<f32> = numbers(&golden_values["logits"]).iter().map(|v| *v as f32).collect();
    assert_close(workspace.masked_logits(), &theirs, 4e-6, "logits");

    let (loss, gradient) = masked_pass(&bert, &packed, &Pass::default(), &mut workspace);
    assert!((loss - golden_values["loss"].as_f64().unwrap()).abs() < 2e-6);
    assert_gradients(&bert, &gradient, &golden_values, 0.0);
}
