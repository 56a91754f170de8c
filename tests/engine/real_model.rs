//! The engine on a real pre-trained model.

use crate::{
    forward::candle_logits,
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
fn minilm_gives_the_logits_of_candle_transformers() {
    let Some(shared) = shared("minilm_gives_the_logits_of_candle_transformers") else { return };
    let folder = shared.join("models/all-MiniLM-L6-v2");
    let mut pretrained = Pretrained::load(&folder).unwrap();
    let bert = pretrained.build(Head::Classifier { labels: 2 }, 1337, true).unwrap();
    assert_eq!(bert.shape.len(), 6);
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
    let mut tokenizer = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).unwrap();
    let mut packed = Packed::empty();
    for (first, second) in [
        ("The dog chased the ball across the whole field before the rain began.", "A dog played outside."),
        ("No.", "Nobody won the lottery."),
        ("Pruning removes heads; rewinding restores the weights they had before fine-tuning.", ""),
    ] {
        let encoded = if second.is_empty() {
            tokenizer.encode(first, true).unwrap()
        } else {
            tokenizer.encode((first, second), true).unwrap()
        };
        packed.positions.extend(0..encoded.get_ids().len() as u32);
        packed.ids.extend(encoded.get_ids());
        packed.segments.extend(encoded.get_type_ids());
        packed.offsets.push(packed.ids.len());
    }
    let ours = logits(&bert, &packed, &Pass::default());
    assert_close(&ours, &candle_logits(&bert, &packed), 1e-5, "logits");
    assert!(ours.iter().any(|v| v.abs() > 1e-3));
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
