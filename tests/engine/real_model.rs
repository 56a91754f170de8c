//! The engine on a real pre-trained model.

use crate::{
    forward_golden::{golden_json, numbers, push},
    support::{Packed, assert_close, logits},
};
use lottery::model::{Head, Pass, weights::Pretrained};
use std::path::PathBuf;

/// The folder of shared models and data, or a line on stderr that says why the test does nothing.
fn shared(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("LOTTERY_SHARED").map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: {test}: LOTTERY_SHARED is not set");
    }
    found
}

#[test]
fn minilm_gives_the_logits_of_transformers() {
    let Some(shared) = shared("minilm_gives_the_logits_of_transformers") else { return };
    let folder = shared.join("models/all-MiniLM-L6-v2");
    let mut pretrained = Pretrained::load(&folder).unwrap();
    let mut bert = pretrained.build(Head::Classifier { labels: 2 }, 1337, true).unwrap();
    assert_eq!(bert.shape.len(), 6);
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
    // The classifier of tests/golden/minilm.py.
    for (name, value) in [
        ("classifier.weight", (|n| ((n + 1) as f64).sin() as f32 / 4.0) as fn(usize) -> f32),
        ("classifier.bias", |n| [0.125, -0.25][n]),
    ] {
        let range = bert.params.named(name).unwrap().0.range.clone();
        bert.params.data[range].iter_mut().enumerate().for_each(|(n, weight)| *weight = value(n));
    }
    let golden = golden_json("minilm.json");
    let (mut packed, mut theirs) = (Packed::empty(), Vec::new());
    for sequence in golden["sequences"].as_array().unwrap() {
        push(&mut packed, sequence);
        theirs.extend(numbers(&sequence["logits"]).iter().map(|x| *x as f32));
    }
    assert_close(&logits(&bert, &packed, &Pass::default()), &theirs, 1e-5, "logits");
}

#[test]
fn tiny_models_of_other_families_are_refused_by_name_and_those_of_bert_are_read() {
    let Some(shared) = shared("tiny_models_of_other_families_are_refused_by_name_and_those_of_bert_are_read")
    else {
        return;
    };
    let models = shared.join("data/tiny_models");
    for (folder, layers) in [("coldfire/tiny_bert", 2), ("jammi/tiny_bert", 1)] {
        let mut pretrained = Pretrained::load(&models.join(folder)).unwrap();
        let bert = pretrained.build(Head::Classifier { labels: 2 }, 1337, true).unwrap();
        assert_eq!(bert.shape.len(), layers);
        // As sentence-transformers has it, without a pooler.
        assert!(
            pretrained.notes.len() == 1 && pretrained.notes[0].contains("no pooler"),
            "{:?}",
            pretrained.notes
        );
    }
    for (folder, family) in [
        ("coldfire/tiny_nomic", "nomic_bert"),
        ("jammi/tiny_modernbert", "modernbert"),
        ("jammi/tiny_modernbert_classifier", "modernbert"),
        ("jammi/tiny_modernbert_ner", "modernbert"),
    ] {
        let refusal = Pretrained::load(&models.join(folder)).unwrap_err().to_string();
        assert!(refusal.contains(&format!("model_type is \"{family}\"")), "{refusal}");
    }
}
