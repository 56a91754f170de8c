//! The span head against PyTorch's numbers (`tests/golden/spans.py`).

use crate::{
    forward_golden::{assert_gradients, golden, golden_json, integers, numbers, push},
    support::{Packed, assert_close, logits, train_pass},
};
use lottery::model::{Head, Pass, Workspace, weights::Pretrained};

#[test]
fn logits_loss_and_gradients_of_spans_equal_those_of_transformers_in_pytorch() {
    let golden_values = golden_json("spans.json");
    let mut pretrained = Pretrained::load(&golden("tiny-spans")).unwrap();
    let bert = pretrained.build(Head::Spans, 0, false).unwrap();
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
    let mut packed = Packed::empty();
    for sequence in golden_values["sequences"].as_array().unwrap() {
        push(&mut packed, sequence);
        let [start, end] = integers(&sequence["span"])[..] else { panic!("a span has two ends") };
        packed.starts.push(start);
        packed.ends.push(end);
    }
    let theirs: Vec<f32> = numbers(&golden_values["logits"]).iter().map(|v| *v as f32).collect();
    assert_close(&logits(&bert, &packed, &Pass::default()), &theirs, 4e-6, "logits");

    let (loss, gradient) = train_pass(&bert, &packed, &Pass::default(), &mut Workspace::default());
    assert!((loss - golden_values["loss"].as_f64().unwrap()).abs() < 2e-6);
    // Of the biases' nothing but rounding is left: a shift of all logits changes no probability.
    assert_gradients(&bert, &gradient, &golden_values, 1e-7);
}

#[test]
fn a_model_with_a_span_head_is_saved_as_transformers_reads_it() {
    let mut pretrained = Pretrained::load(&golden("tiny-spans")).unwrap();
    let bert = pretrained.build(Head::Spans, 0, false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = bert.to_config_json(&[]).unwrap();
    assert!(config.contains("BertForQuestionAnswering") && !config.contains("id2label"), "{config}");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bert.to_safetensors().unwrap()).unwrap();
    let mut again = Pretrained::load(folder.path()).unwrap();
    assert_eq!(again.build(Head::Spans, 1, false).unwrap().params, bert.params);
    // A head of another task, and a fresh one, are drawn.
    let classes = again.build(Head::Classifier { labels: 2 }, 1, false).unwrap();
    assert!(classes.params.named("qa_outputs.weight").is_none());
    let fresh = again.build(Head::Spans, 1, true).unwrap();
    assert_ne!(fresh.params.named("qa_outputs.weight"), bert.params.named("qa_outputs.weight"));
}
