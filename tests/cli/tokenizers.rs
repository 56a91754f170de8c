//! Tokenizer files of a model folder: what is told of them, and that they travel with a trained model.

use std::fs;

use lottery::{
    model::tiny,
    task::{TaskId, load},
    text::Tokenizer,
};

use crate::fixture::{Bench, refused, stderr, succeeded};

const SIZE: [&str; 2] = ["--mode", "full"];

#[test]
fn a_trained_model_has_all_files_that_decide_its_tokens() {
    let bench = Bench::new("RTE");
    let files = [
        ("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizerFast", "do_lower_case": false}"#),
        ("special_tokens_map.json", r#"{"mask_token": "[MASK]", "additional_special_tokens": ["<end>"]}"#),
        ("added_tokens.json", r#"{"<ent>": 900}"#),
    ];
    for (name, content) in files {
        bench.write(&format!("model/{name}"), content);
    }
    let record = bench.record("rte", &SIZE);
    let stage = bench.path("runs/stages").join(record["stages"]["finetune"].as_str().unwrap());
    for (name, content) in files {
        assert_eq!(fs::read_to_string(stage.join(name)).unwrap(), content, "{name}");
    }
    let [before, after] = [bench.path("model"), stage].map(|folder| Tokenizer::from_folder(&folder).unwrap());
    assert_eq!(before.hash(), after.hash());
    assert_eq!(record["model"]["tokenizer"], before.hash());
    let text = "a <ent> B<end>";
    assert_eq!(before.encode(text, None, 16).unwrap(), after.encode(text, None, 16).unwrap());
}

#[test]
fn many_unknown_words_are_warned_of_once_and_recorded() {
    let bench = Bench::new("RTE");
    let vocabulary = fs::read_to_string(bench.path("model/vocab.txt")).unwrap();
    bench.write("model/vocab.txt", vocabulary.to_uppercase());
    let output = succeeded(bench.run("rte", &SIZE).arg("--json"));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings: Vec<&str> =
        record["warnings"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
    for (place, text) in ["training data", "development data"].into_iter().enumerate() {
        let wanted = format!("100.0 % of the tokens of the {text} are unknown to the vocabulary ([UNK])");
        assert!(warnings[place].starts_with(&wanted), "{warnings:?}");
        assert!(warnings[place].contains("Is do_lower_case true in tokenizer_config.json"), "{warnings:?}");
        assert_eq!(stderr(&output).matches(&wanted).count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn a_tokenizer_of_another_class_is_refused_by_name() {
    let bench = Bench::new("RTE");
    bench.write("model/tokenizer_config.json", r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#);
    let wanted = ["model/tokenizer_config.json", "BertJapaneseTokenizer", "Choose a model"];
    refused(&mut bench.run("rte", &[]), 3, &wanted);
}

#[test]
fn a_tokenizer_file_on_which_the_library_panics_is_named_and_nothing_else_is_printed() {
    let bench = Bench::new("RTE");
    let broken = r#"{"version": "1.0", "normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}}"#;
    bench.write("model/tokenizer.json", broken);
    let text =
        refused(&mut bench.run("rte", &[]), 3, &["model/tokenizer.json: the tokenizers library crashed"]);
    assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
}

#[test]
fn the_demo_has_no_unknown_word() {
    let tokenizer = Tokenizer::from_folder(&tiny::folder().unwrap()).unwrap();
    assert_eq!(tokenizer.note(), None);
    let data = load(TaskId::Demo.spec(), "".as_ref()).unwrap();
    for examples in [&data.train, &data.dev] {
        assert_eq!(tokenizer.unknown_share(&tokenizer.encode_all(examples, 64).unwrap()), 0.0);
    }
}
