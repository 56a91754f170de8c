//! Logits, losses and gradients against PyTorch's numbers (`tests/golden/forward.py`).

use crate::support::{Packed, assert_close, distance, logits, norm, train_pass};
use lottery::model::{Bert, Head, Pass, Workspace, weights::Pretrained};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub fn golden_json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden(name)).unwrap()).unwrap()
}

pub fn golden_model(folder: &str, labels: usize) -> Bert {
    Pretrained::load(&golden(folder)).unwrap().build(Head::Classifier { labels }, 0, false).unwrap()
}

pub fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// All tensors' gradients by their norms, and those that the file has whole; `rest` is what may differ of one whose
/// gradient is zero by the mathematics.
pub fn assert_gradients(bert: &Bert, gradient: &[f32], golden: &Value, rest: f64) {
    let norms = golden["gradient_norms"].as_object().unwrap();
    assert_eq!(norms.len(), bert.params.layout.entries.len());
    for entry in &bert.params.layout.entries {
        let ours: Vec<f64> = gradient[entry.range.clone()].iter().map(|v| f64::from(*v)).collect();
        let theirs = norms[&entry.name].as_f64().unwrap();
        assert!((norm(&ours) - theirs).abs() < 1e-5 * theirs + 1e-7, "{}", entry.name);
    }
    for (name, values) in golden["gradients"].as_object().unwrap() {
        let (entry, _) = bert.params.named(name).unwrap();
        let theirs = numbers(values);
        let error = distance(&gradient[entry.range.clone()], &theirs);
        assert!(error < 1e-5 * norm(&theirs) + rest, "{name}: {error:e}");
    }
}

/// Appends `{"ids": [..], "segments": [..]}`.
pub fn push(packed: &mut Packed, sequence: &Value) {
    let ids = integers(&sequence["ids"]);
    packed.positions.extend(0..ids.len() as u32);
    packed.ids.extend(ids);
    packed.segments.extend(integers(&sequence["segments"]));
    packed.offsets.push(packed.ids.len());
}

#[test]
fn logits_losses_and_gradients_equal_those_of_transformers_in_pytorch() {
    let golden = golden_json("forward.json");
    for case in golden["cases"].as_array().unwrap() {
        let folder = case["folder"].as_str().unwrap();
        let mut packed = Packed::empty();
        case["sequences"].as_array().unwrap().iter().for_each(|s| push(&mut packed, s));
        let labels = if folder == "tiny-scores" { 1 } else { 3 };
        packed.scores = numbers(&case["targets"]).iter().map(|v| *v as f32).collect();
        packed.classes = packed.scores.iter().map(|v| *v as u32).collect();
        let bert = golden_model(folder, labels);
        let theirs: Vec<f32> = numbers(&case["logits"]).iter().map(|v| *v as f32).collect();
        assert_close(&logits(&bert, &packed, &Pass::default()), &theirs, 2e-6, folder);
        let (loss, gradient) = train_pass(&bert, &packed, &Pass::default(), &mut Workspace::default());
        assert!((loss - case["loss"].as_f64().unwrap()).abs() < 2e-6);
        assert_gradients(&bert, &gradient, case, 0.0);
    }
}
