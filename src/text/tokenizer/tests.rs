use super::*;
use crate::task::Label;
use tokenizers::processors::bert::BertProcessing;

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nun\n##aff\n##able\nrun\n##ner\n.\ncafe\n##s\n";

/// [CLS] and [SEP] in `VOCAB`.
const CLS: u32 = 2;
const SEP: u32 = 3;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_folder(folder(&[("vocab.txt", VOCAB)]).path()).unwrap()
}

/// The error of a folder with these files.
fn refusal(files: &[(&str, &str)]) -> String {
    let error = Tokenizer::from_folder(folder(files).path()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    error.to_string()
}

#[test]
fn words_are_split_into_the_longest_pieces() {
    let encoded = tokenizer().encode("the unaffable runner.", None, 128).unwrap();
    assert_eq!(encoded.ids, [CLS, 5, 6, 7, 8, 9, 10, 11, SEP]);
    assert_eq!(encoded.segments, [0; 9]);
}

#[test]
fn an_unknown_word_is_one_unk_token() {
    assert_eq!(tokenizer().encode("the zebra", None, 128).unwrap().ids, [CLS, 5, 1, SEP]);
}

#[test]
fn the_second_sentence_has_segment_1_with_its_sep() {
    let encoded = tokenizer().encode("the run", Some("runs"), 128).unwrap();
    assert_eq!(encoded.ids, [CLS, 5, 9, SEP, 9, 13, SEP]);
    assert_eq!(encoded.segments, [0, 0, 0, 0, 1, 1, 1]);
}

#[test]
fn text_is_lower_cased_and_loses_accents_unless_the_config_says_otherwise() {
    assert_eq!(tokenizer().encode("The CAFÉ", None, 128).unwrap().ids, [CLS, 5, 12, SEP]);
    let cased =
        folder(&[("vocab.txt", VOCAB), ("tokenizer_config.json", r#"{"do_lower_case": false, "other": 1}"#)]);
    let cased = Tokenizer::from_folder(cased.path()).unwrap();
    assert_eq!(cased.encode("The cafe café", None, 128).unwrap().ids, [CLS, 1, 12, 1, SEP]);
    assert_ne!(cased.hash(), tokenizer().hash());
}

#[test]
fn a_special_token_in_the_text_is_that_token() {
    assert_eq!(tokenizer().encode("the [MASK] run", None, 128).unwrap().ids, [CLS, 5, 4, 9, SEP]);
}

#[test]
fn one_sentence_is_cut_at_its_end() {
    assert_eq!(tokenizer().encode("the run the run", None, 5).unwrap().ids, [CLS, 5, 9, 5, SEP]);
}

/// How many tokens of two sentences with these lengths survive in `room` tokens.
fn survivors(first: usize, second: usize, room: usize) -> (usize, usize) {
    let text = |n| vec!["the"; n].join(" ");
    let encoded = tokenizer().encode(&text(first), Some(&text(second)), room + 3).unwrap();
    assert!(encoded.ids.len() <= room + 3);
    let seconds = encoded.segments.iter().filter(|&&segment| segment == 1).count();
    (encoded.ids.len() - seconds - 2, seconds - 1)
}

#[test]
fn a_pair_is_cut_from_the_longer_sentence_first() {
    assert_eq!(survivors(3, 2, 5), (3, 2));
    assert_eq!(survivors(9, 2, 6), (4, 2));
    assert_eq!(survivors(2, 9, 6), (2, 4));
    assert_eq!(survivors(9, 8, 6), (3, 3));
}

#[test]
fn an_odd_token_stays_with_the_longer_sentence_and_with_the_second_on_ties() {
    assert_eq!(survivors(9, 8, 5), (3, 2));
    assert_eq!(survivors(8, 9, 5), (2, 3));
    assert_eq!(survivors(8, 8, 5), (2, 3));
}

#[test]
fn empty_sentences_are_encoded() {
    assert_eq!(tokenizer().encode("", None, 8).unwrap().ids, [CLS, SEP]);
    assert_eq!(tokenizer().encode("", Some(""), 8).unwrap().ids, [CLS, SEP, SEP]);
}

#[test]
fn a_length_without_room_for_text_is_a_usage_error() {
    for (second, length) in [(None, 2), (Some("the"), 3), (None, 0)] {
        let error = tokenizer().encode("the", second, length).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().starts_with(&format!("a sequence length of {length} leaves no room")),
            "{error}"
        );
    }
}

#[test]
fn all_examples_are_encoded_in_order() {
    let example = |first: &str, second: Option<&str>| Example {
        first: first.into(),
        second: second.map(Into::into),
        label: Label::Class(0),
    };
    let examples = [example("the", None), example("run", Some("the")), example("zebra", None)];
    let all = tokenizer().encode_all(&examples, 8).unwrap();
    let ids: Vec<_> = all.into_iter().map(|encoded| encoded.ids).collect();
    assert_eq!(ids, [vec![CLS, 5, SEP], vec![CLS, 9, SEP, 5, SEP], vec![CLS, 1, SEP]]);
}

#[test]
fn a_tokenizer_json_loses_its_own_truncation_and_padding() {
    let plain = tokenizer();
    let mut padded = plain.inner.clone();
    padded.with_padding(Some(tokenizers::PaddingParams {
        strategy: tokenizers::PaddingStrategy::Fixed(16),
        ..Default::default()
    }));
    padded.with_truncation(Some(TruncationParams { max_length: 4, ..Default::default() })).unwrap();
    let json = padded.to_string(false).unwrap();
    let read = Tokenizer::from_folder(folder(&[("tokenizer.json", &json)]).path()).unwrap();
    for (first, second) in [("the unaffable runner.", Some("Runs")), ("the", None)] {
        assert_eq!(read.encode(first, second, 128).unwrap(), plain.encode(first, second, 128).unwrap());
    }
    assert_eq!(read.vocab_size(), 14);
}

#[test]
fn the_files_to_copy_are_those_that_exist() {
    let folder = folder(&[("vocab.txt", VOCAB), ("special_tokens_map.json", "{}"), ("config.json", "{}")]);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let expected = [("vocab.txt", VOCAB.as_bytes().to_vec()), ("special_tokens_map.json", b"{}".to_vec())];
    assert_eq!(tokenizer.files(), expected);
    assert_eq!(tokenizer.vocab_size(), 14);
    assert_eq!(tokenizer.hash().len(), 64);
}

#[test]
fn the_special_ids_are_those_of_the_vocabulary() {
    let special = SpecialIds { pad: Some(0), unk: 1, cls: 2, sep: 3, mask: Some(4) };
    assert_eq!(tokenizer().special_ids(), special);
    let bare = folder(&[("vocab.txt", "the\n[SEP]\n[UNK]\nrun\n[CLS]\n")]);
    let bare = Tokenizer::from_folder(bare.path()).unwrap();
    assert_eq!(bare.special_ids(), SpecialIds { pad: None, unk: 2, cls: 4, sep: 1, mask: None });
    assert_eq!(bare.ids(), [0, 1, 2, 3, 4]);
    assert_eq!([0, 1, 2, 3, 4].map(|id| bare.special_ids().contain(id)), [false, true, true, false, true]);
}

#[test]
fn a_folder_without_tokenizer_names_both_files_and_the_remedy() {
    let text = refusal(&[("config.json", "{}")]);
    assert!(text.contains("neither tokenizer.json nor vocab.txt"), "{text}");
    assert!(text.contains("Copy one of them from the model's repository"), "{text}");
}

#[test]
fn damaged_tokenizer_files_are_named() {
    for (files, file, what) in [
        (vec![("tokenizer.json", "{\"version\": ")], "tokenizer.json", "EOF"),
        (vec![("vocab.txt", "the\nrun\n")], "vocab.txt", "the token [CLS] is missing"),
        (vec![("vocab.txt", "[CLS]\n[SEP]\nthe\n")], "vocab.txt", "the token [UNK] is missing"),
        (
            vec![("vocab.txt", VOCAB), ("tokenizer_config.json", "{oops")],
            "tokenizer_config.json",
            "key must be",
        ),
    ] {
        let text = refusal(&files);
        assert!(text.contains(&format!("{file}: {what}")) && text.contains("Restore"), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vocab.txt"), b"[CLS]\n\xff\n").unwrap();
    let text = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
    assert!(text.contains("vocab.txt: stream did not contain valid UTF-8"), "{text}");
}

#[test]
fn a_tokenizer_that_frames_its_text_otherwise_is_refused() {
    let as_it_is = ("tokenizer_config.json", r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#);
    let mut unframed = tokenizer().inner;
    unframed.with_post_processor(None::<BertProcessing>);
    let text = refusal(&[("tokenizer.json", &unframed.to_string(false).unwrap()), as_it_is]);
    assert!(text.contains("does not frame a pair with [CLS] and [SEP]"), "{text}");
    let dropped =
        r#"{"model": {"type": "BPE", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}, "merges": []}}"#;
    let text = refusal(&[("tokenizer.json", dropped), as_it_is]);
    assert!(text.contains("does not frame a pair with [CLS] and [SEP]"), "{text}");
    let text = refusal(&[("tokenizer.json", dropped)]);
    assert!(text.contains("model.type is \"BPE\""), "{text}");
    let renamed = tokenizer().inner.to_string(false).unwrap().replace("[CLS]", "<s>");
    let text = refusal(&[("tokenizer.json", &renamed)]);
    assert!(text.contains("the token [CLS] is missing"), "{text}");
}

/// What earlier versions hashed: each file with its length before it.
fn hash_of(files: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for content in files {
        hasher.update(&(content.len() as u64).to_le_bytes()).update(content.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn hash_in(files: &[(&str, &str)]) -> String {
    Tokenizer::from_folder(folder(files).path()).unwrap().hash().to_owned()
}

const AGREEING: &str = r#"{"tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": 512,
    "added_tokens_decoder": {"0": {"content": "[PAD]", "lstrip": false, "normalized": false, "rstrip": false,
    "single_word": false, "special": true}}}"#;

#[test]
fn folders_that_were_read_rightly_before_keep_their_hash() {
    let tiny = Tokenizer::from_folder(&crate::model::tiny::folder().unwrap()).unwrap();
    assert_eq!(tiny.hash(), hash_of(&[include_str!("../../../models/tiny/tokenizer.json")]));
    let vocab = ("vocab.txt", VOCAB);
    assert_eq!(hash_in(&[vocab]), hash_of(&[VOCAB]));
    let map = ("special_tokens_map.json", r#"{"unk_token": "[UNK]", "cls_token": "[CLS]"}"#);
    let none = ("added_tokens.json", "{}");
    for config in [r#"{"do_lower_case": false, "strip_accents": true}"#, "{}", AGREEING] {
        let files = [vocab, ("tokenizer_config.json", config), map, none];
        assert_eq!(hash_in(&files[..2]), hash_of(&[VOCAB, config]));
        assert_eq!(hash_in(&files), hash_of(&[VOCAB, config]));
    }
    let json = tokenizer().inner.to_string(false).unwrap();
    let files = [
        ("tokenizer.json", json.as_str()),
        ("tokenizer_config.json", AGREEING),
        ("vocab.txt", "damaged\n"),
        map,
        none,
    ];
    for some in [&files[..1], &files[..2], &files] {
        assert_eq!(hash_in(some), hash_of(&[&json]));
    }
    let fast = ("tokenizer_config.json", r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#);
    assert_eq!(hash_in(&[files[0], fast]), hash_of(&[&json]));
    // The same said in another way.
    let stripping = ("tokenizer_config.json", r#"{"strip_accents": true}"#);
    assert_eq!(hash_in(&[files[0], stripping]), hash_of(&[&json]));
}

#[test]
fn a_file_that_changes_the_tokens_changes_the_hash() {
    let json = tokenizer().inner.to_string(false).unwrap();
    let config = |text: &'static str| ("tokenizer_config.json", text);
    let mut hashes = std::collections::BTreeSet::from([hash_of(&[&json]), hash_of(&[VOCAB])]);
    let changes = [
        config(r#"{"do_lower_case": false}"#),
        config(r#"{"strip_accents": false}"#),
        config(r#"{"tokenize_chinese_chars": false}"#),
        config(r#"{"truncation_side": "left"}"#),
        config(r#"{"split_special_tokens": true}"#),
        config(r#"{"model_input_names": ["input_ids"]}"#),
        config(r#"{"unk_token": "cafe"}"#),
        config(r#"{"mask_token": "run"}"#),
        config(r#"{"pad_token": null}"#),
        ("added_tokens.json", r#"{"<ent>": 14}"#),
        ("added_tokens.json", r#"{"<ent>": 14, "<end>": 15}"#),
        ("special_tokens_map.json", r#"{"additional_special_tokens": ["<ent>"]}"#),
    ];
    for change in changes {
        assert!(hashes.insert(hash_in(&[("tokenizer.json", &json), change])), "{change:?}");
        // Beside vocab.txt, the bytes of the config always counted.
        assert!(hashes.insert(hash_in(&[("vocab.txt", VOCAB), change])), "{change:?}");
    }
}

#[test]
fn a_disagreement_over_letter_case_is_noted() {
    let json = tokenizer().inner.to_string(false).unwrap();
    let note = |files: &[(&str, &str)]| Tokenizer::from_folder(folder(files).path()).unwrap().note;
    assert_eq!(note(&[("tokenizer.json", &json), ("tokenizer_config.json", AGREEING)]), None);
    assert_eq!(note(&[("vocab.txt", VOCAB), ("tokenizer_config.json", r#"{"do_lower_case": false}"#)]), None);
    assert_eq!(
        note(&[("tokenizer.json", &json), ("tokenizer_config.json", r#"{"do_lower_case": false}"#)]).unwrap(),
        "tokenizer.json disagrees with tokenizer_config.json, which counts as in transformers 5: do_lower_case false, \
         strip_accents false"
    );
    let cased = json.replace(r#""lowercase":true"#, r#""lowercase":false"#);
    assert_eq!(
        note(&[("tokenizer.json", &cased)]).unwrap(),
        "tokenizer.json disagrees with the default without tokenizer_config.json, which counts as in transformers 5: \
         do_lower_case true, strip_accents true"
    );
}

#[test]
fn special_tokens_that_no_file_has_are_none_of_the_vocabulary() {
    let bare = folder(&[("vocab.txt", "the\n[SEP]\n[UNK]\nrun\n[CLS]\n")]);
    let bare = Tokenizer::from_folder(bare.path()).unwrap();
    assert_eq!((bare.vocab_size(), bare.ids().len()), (5, 5));
    // transformers adds [PAD], then [MASK].
    assert_eq!(bare.encode("the [MASK] [PAD]", None, 8).unwrap().ids, [4, 0, 6, 5, 1]);
}
