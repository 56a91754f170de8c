//! Tests on real GLUE files and a real tokenizer. They run where `LOTTERY_SHARED` names the folder that holds `glue/`
//! and `models/all-MiniLM-L6-v2/`, and some `data/`; elsewhere each says by name that it was skipped.

mod formats;
mod squad;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use lottery::task::{Example, Label, Labels, TaskData, TaskId, load, majority_baseline};
use lottery::text::{Encoded, Tokenizer, encode_cached};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The shared folder, or a word on stderr (past the test harness, which would swallow it) and `None`.
fn shared(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LOTTERY_SHARED").map(PathBuf::from);
    if folder.is_none() {
        let word = format!("skipped: {test}: LOTTERY_SHARED is not set\n");
        std::io::stderr().write_all(word.as_bytes()).unwrap();
    }
    folder
}

fn task(shared: &Path, id: TaskId) -> TaskData {
    load(id.spec(), &shared.join("glue")).unwrap()
}

fn model(shared: &Path) -> PathBuf {
    shared.join("models/all-MiniLM-L6-v2")
}

#[test]
fn every_task_has_the_official_number_of_examples() {
    let Some(shared) = shared("every_task_has_the_official_number_of_examples") else { return };
    for (id, train, dev) in [
        (TaskId::Cola, 8551, 1043),
        (TaskId::Sst2, 67349, 872),
        (TaskId::Mrpc, 3668, 408),
        (TaskId::Stsb, 5749, 1500),
        (TaskId::Rte, 2490, 277),
        (TaskId::Wnli, 635, 71),
    ] {
        let data = task(&shared, id);
        assert_eq!((data.train.len(), data.dev.len()), (train, dev), "{id}");
        assert!(data.dev_mismatched.is_none());
        assert_eq!(data.sha256.len(), 2);
        let is_pair = !matches!(id, TaskId::Cola | TaskId::Sst2);
        for example in data.train.iter().chain(&data.dev) {
            assert_eq!(example.second.is_some(), is_pair, "{id}");
            assert!(!example.first.trim().is_empty(), "{id}");
        }
    }
}

#[test]
fn labels_are_balanced_as_published() {
    let Some(shared) = shared("labels_are_balanced_as_published") else { return };
    // Examples of class 1 in train and dev.
    for (id, train, dev) in [
        (TaskId::Cola, 6023, 721),
        (TaskId::Sst2, 37569, 444),
        (TaskId::Mrpc, 2474, 279),
        (TaskId::Rte, 1241, 131),
        (TaskId::Wnli, 312, 31),
    ] {
        let data = task(&shared, id);
        let ones = |examples: &[lottery::task::Example]| {
            examples.iter().filter(|example| example.label == Label::Class(1)).count()
        };
        assert_eq!((ones(&data.train), ones(&data.dev)), (train, dev), "{id}");
    }
}

#[test]
fn the_majority_baseline_of_each_dev_split_is_the_known_one() {
    let Some(shared) = shared("the_majority_baseline_of_each_dev_split_is_the_known_one") else { return };
    for (id, expected) in [
        (TaskId::Cola, 0.0),
        (TaskId::Sst2, 444.0 / 872.0),
        (TaskId::Mrpc, 279.0 / 408.0),
        (TaskId::Stsb, 0.0),
        (TaskId::Rte, 146.0 / 277.0),
        (TaskId::Wnli, 40.0 / 71.0),
    ] {
        let labels: Vec<Label> = task(&shared, id).dev.iter().map(|example| example.label).collect();
        assert_eq!(majority_baseline(id.spec(), &labels), expected, "{id}");
    }
}

#[test]
fn similarity_scores_cover_0_to_5() {
    let Some(shared) = shared("similarity_scores_cover_0_to_5") else { return };
    assert_eq!(TaskId::Stsb.spec().labels, Labels::Score { low: 0.0, high: 5.0 });
    let scores: Vec<f32> = task(&shared, TaskId::Stsb)
        .train
        .iter()
        .map(|example| match example.label {
            Label::Score(score) => score,
            other => panic!("{other:?} in a regression"),
        })
        .collect();
    let (low, high) = scores.iter().fold((5f32, 0f32), |(low, high), &s| (low.min(s), high.max(s)));
    let mean = scores.iter().sum::<f32>() / scores.len() as f32;
    assert_eq!((low, high), (0.0, 5.0));
    assert!((mean - 2.701).abs() < 0.001, "{mean}");
}

#[derive(Deserialize)]
struct Golden {
    digests: Vec<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    folder: String,
    max_length: usize,
    examples: usize,
    tokens: usize,
    cut: usize,
    sha256: String,
}

fn digest(encoded: &[Encoded]) -> String {
    let mut digest = Sha256::new();
    for Encoded { ids, segments } in encoded {
        digest.update((ids.len() as u32).to_le_bytes());
        ids.iter().for_each(|id| digest.update(id.to_le_bytes()));
        digest.update(segments);
    }
    format!("{:x}", digest.finalize())
}

fn assert_tokens_equal_transformers(shared: &Path, tokenizer: &Tokenizer) {
    let golden: Golden = serde_json::from_str(include_str!("../golden/tokens.json")).unwrap();
    assert_eq!(golden.digests.len(), 12);
    assert!(golden.digests.iter().any(|tokens| tokens.max_length == 128 && tokens.cut > 0));
    for expected in golden.digests {
        let data = task(shared, expected.folder.parse().unwrap());
        let encoded = tokenizer.encode_all(&data.dev, expected.max_length).unwrap();
        assert_eq!(encoded.len(), expected.examples);
        let name = format!("{} at {}", expected.folder, expected.max_length);
        assert_eq!(encoded.iter().map(|e| e.ids.len()).sum::<usize>(), expected.tokens, "{name}");
        assert_eq!(digest(&encoded), expected.sha256, "{name}");
    }
}

#[test]
fn tokens_from_tokenizer_json_equal_those_of_transformers() {
    let Some(shared) = shared("tokens_from_tokenizer_json_equal_those_of_transformers") else { return };
    let tokenizer = Tokenizer::from_folder(&model(&shared)).unwrap();
    assert_eq!(tokenizer.vocab_size(), 30522);
    assert_eq!(tokenizer.files().len(), 4);
    assert_tokens_equal_transformers(&shared, &tokenizer);
}

#[test]
fn tokens_from_vocab_txt_equal_those_of_transformers() {
    let Some(shared) = shared("tokens_from_vocab_txt_equal_those_of_transformers") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model(&shared).join("vocab.txt"), folder.path().join("vocab.txt")).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.vocab_size(), 30522);
    assert_tokens_equal_transformers(&shared, &tokenizer);
}

#[test]
fn a_real_folder_keeps_its_hash() {
    let Some(shared) = shared("a_real_folder_keeps_its_hash") else { return };
    let tokenizer = Tokenizer::from_folder(&model(&shared)).unwrap();
    // Stage ids of existing stores were made from it.
    assert_eq!(tokenizer.hash(), "fa3a7d89a2edb26e59ca6fd51e9810b01af555966c61f8c3e67f5a0ce3941af1");
    assert_eq!(tokenizer.note(), None);
}

#[test]
fn real_sentences_have_unknown_tokens_only_where_the_letter_case_is_wrong() {
    let Some(shared) = shared("real_sentences_have_unknown_tokens_only_where_the_letter_case_is_wrong")
    else {
        return;
    };
    let cased = tempfile::tempdir().unwrap();
    std::fs::copy(model(&shared).join("vocab.txt"), cased.path().join("vocab.txt")).unwrap();
    std::fs::write(cased.path().join("tokenizer_config.json"), "{\"do_lower_case\": false}").unwrap();
    let cased = Tokenizer::from_folder(cased.path()).unwrap();
    let tokenizer = Tokenizer::from_folder(&model(&shared)).unwrap();
    // The shares by transformers 5.24; SST-2 is in lower case.
    for (id, share) in [
        (TaskId::Cola, 0.1600),
        (TaskId::Sst2, 0.0002),
        (TaskId::Mrpc, 0.1529),
        (TaskId::Stsb, 0.1403),
        (TaskId::Rte, 0.1849),
        (TaskId::Wnli, 0.1058),
    ] {
        let dev = task(&shared, id).dev;
        let encoded = tokenizer.encode_all(&dev, 512).unwrap();
        assert_eq!(tokenizer.unknown_share(&encoded), 0.0, "{id}");
        assert_eq!(tokenizer.unknown_warning("dev", &encoded), None);
        let encoded = cased.encode_all(&dev, 512).unwrap();
        assert!(
            (cased.unknown_share(&encoded) - share).abs() < 1e-4,
            "{id}: {}",
            cased.unknown_share(&encoded)
        );
        let warning = cased.unknown_warning("dev", &encoded);
        assert_eq!(
            warning.is_some_and(|text| text.contains("Is do_lower_case false")),
            id != TaskId::Sst2,
            "{id}"
        );
    }
}

#[test]
fn the_cache_gives_back_the_tokens_of_a_whole_split() {
    let Some(shared) = shared("the_cache_gives_back_the_tokens_of_a_whole_split") else { return };
    let tokenizer = Tokenizer::from_folder(&model(&shared)).unwrap();
    let examples = task(&shared, TaskId::Mrpc).train;
    let cache = tempfile::tempdir().unwrap();
    let first = encode_cached(&tokenizer, &examples, 128, Some(cache.path())).unwrap();
    let second = encode_cached(&tokenizer, &examples, 128, Some(cache.path())).unwrap();
    assert_eq!(first, second);
    assert_eq!(first, tokenizer.encode_all(&examples, 128).unwrap());
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
}

#[derive(Deserialize)]
struct Sentences {
    max_length: usize,
    /// Task, and how many training examples.
    parts: Vec<(String, usize)>,
    odd: Vec<String>,
    folders: Vec<SentenceFolder>,
}

#[derive(Deserialize)]
struct SentenceFolder {
    name: String,
    source: String,
    copied: Vec<String>,
    files: BTreeMap<String, String>,
    sentences: String,
    odd: String,
}

#[test]
fn ids_of_ten_thousand_sentences_and_of_odd_strings_are_those_of_transformers() {
    let name = "ids_of_ten_thousand_sentences_and_of_odd_strings_are_those_of_transformers";
    let Some(shared) = shared(name) else { return };
    let golden: Sentences = serde_json::from_str(include_str!("../golden/sentences.json")).unwrap();
    let part = |(id, count): &(String, usize)| -> Vec<Example> {
        task(&shared, id.parse().unwrap()).train.into_iter().take(*count).collect()
    };
    let sentences: Vec<Example> = golden.parts.iter().flat_map(part).collect();
    assert_eq!(sentences.iter().map(|e| 1 + usize::from(e.second.is_some())).sum::<usize>(), 10_000);
    let alone = |text: &String| Example { first: text.as_str().into(), second: None, label: Label::Class(0) };
    let odd: Vec<Example> = golden.odd.iter().map(alone).collect();
    assert_eq!((odd.len(), golden.folders.len()), (500, 8));
    for folder in golden.folders {
        let source = match folder.source.as_str() {
            "bpe" => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bpe"),
            _ => model(&shared),
        };
        let dir = tempfile::tempdir().unwrap();
        for file in &folder.copied {
            std::fs::copy(source.join(file), dir.path().join(file)).unwrap();
        }
        for (file, content) in &folder.files {
            std::fs::write(dir.path().join(file), content).unwrap();
        }
        let tokenizer = Tokenizer::from_folder(dir.path()).unwrap();
        let digest_of = |texts: &[Example]| digest(&tokenizer.encode_all(texts, golden.max_length).unwrap());
        assert_eq!(digest_of(&sentences), folder.sentences, "{}: sentences", folder.name);
        assert_eq!(digest_of(&odd), folder.odd, "{}: odd strings", folder.name);
    }
}
