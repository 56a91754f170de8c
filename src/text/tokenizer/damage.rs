//! Damaged tokenizer files: each is refused by name, or gives tokens.

use serde_json::{Value, json};

use super::*;

/// A small `tokenizer.json` with every part that a real one has.
fn whole() -> Value {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "cat", "##s", "##t", "c", "."];
    let vocab: serde_json::Map<String, Value> =
        words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), json!(id))).collect();
    let added = |id: usize, content: &str, special: bool| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": !special, "special": special,
        })
    };
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": 8, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]",
        },
        "added_tokens": [
            added(0, "[PAD]", true), added(1, "[UNK]", true), added(2, "[CLS]", true), added(3, "[SEP]", true),
            added(4, "[MASK]", true), added(12, "<ent>", false),
        ],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
            ],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    })
}

/// Parts that BERT does not have, and that count where `tokenizer.json` is read as it is.
fn odd_parts() -> Vec<(&'static str, Value)> {
    let normalizers = json!([
        {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
        {"type": "Replace", "pattern": {"Regex": "(a|b)*c"}, "content": "x"},
        {"type": "Prepend", "prepend": "_"}, {"type": "Strip", "strip_left": true, "strip_right": true},
        {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Nmt"}, {"type": "ByteLevel"}]},
    ]);
    let pre_tokenizers = json!([
        {"type": "FixedLength", "length": 0}, {"type": "CharDelimiterSplit", "delimiter": " "},
        {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": true},
        {"type": "Split", "pattern": {"Regex": "(a{1000}){1000}"}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Digits", "individual_digits": true}]},
        {"type": "UnicodeScripts"}, {"type": "Punctuation", "behavior": "Contiguous"},
    ]);
    let post_processors = json!([
        {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        {"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2], "trim_offsets": true,
         "add_prefix_space": true},
        {"type": "Sequence", "processors": [{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}]},
    ]);
    let models = json!([
        {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4}, "unk_token": "[UNK]"},
        {"type": "BPE", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "c": 4, "ca": 5}, "merges": ["c a"],
         "dropout": 0.5, "unk_token": "[UNK]", "continuing_subword_prefix": "##", "end_of_word_suffix": null,
         "fuse_unk": false, "byte_fallback": true, "ignore_merges": false},
        {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
         "vocab": [["[UNK]", 0.0], ["[CLS]", -1.0], ["[SEP]", -2.0], ["a", -3.0]]},
    ]);
    let named = [
        ("normalizer", normalizers),
        ("pre_tokenizer", pre_tokenizers),
        ("post_processor", post_processors),
        ("model", models),
    ];
    let each = |(key, list): (&'static str, Value)| {
        list.as_array().unwrap().iter().map(|part| (key, part.clone())).collect::<Vec<_>>()
    };
    named.into_iter().flat_map(each).collect()
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(object) => object.values().map(size).sum(),
        _ => 0,
    }
}

/// The value that comes `n`-th from the outside.
fn nth(value: &mut Value, n: usize) -> Option<&mut Value> {
    let mut left = n.checked_sub(1)?;
    let children: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(object) => object.values_mut().collect(),
        _ => return None,
    };
    for child in children {
        let size = size(child);
        if left == 0 {
            return Some(child);
        }
        if left < size {
            return nth(child, left);
        }
        left -= size;
    }
    None
}

fn mutate(value: &mut Value, random: &mut Random) {
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(1u64 << 40),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("##"),
        json!("é".repeat(300)),
        json!([]),
        json!({}),
        json!("[UNK]"),
        json!(["a"]),
        json!([[]]),
        json!("A"),
        json!("B"),
    ];
    let n = 1 + random.below(size(value) - 1);
    let whole = value.clone();
    let Some(target) = nth(value, n) else { return };
    match (random.below(4), &mut *target) {
        (0, Value::Object(object)) if !object.is_empty() => {
            let key = object.keys().nth(random.below(object.len())).unwrap().clone();
            object.shift_remove(&key);
        }
        (0, Value::Array(list)) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        (1, Value::Object(object)) => drop(object.insert("é".into(), json!(random.below(20)))),
        (1, Value::Array(list)) if !list.is_empty() => {
            list.push(list[random.below(list.len())].clone());
        }
        (2, target) => {
            let mut whole = whole;
            let n = 1 + random.below(size(&whole) - 1);
            *target = nth(&mut whole, n).cloned().unwrap_or_default();
        }
        (_, target) => *target = others[random.below(others.len())].clone(),
    }
}

/// A folder with this `tokenizer.json`: refused with the file's name, or used on texts, whose failures name it too.
fn use_it(dir: &Path, bytes: &[u8], class: &str) -> bool {
    std::fs::write(dir.join("tokenizer.json"), bytes).unwrap();
    std::fs::write(dir.join("tokenizer_config.json"), format!("{{\"tokenizer_class\": {class:?}}}")).unwrap();
    let named = |error: Error| {
        assert!(error.to_string().contains("tokenizer.json") && error.exit_code() == 3, "{error}");
    };
    let tokenizer = match Tokenizer::from_folder(dir) {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            named(error);
            return false;
        }
    };
    for (first, second) in [("the cats. <ent>é 中", Some("a\u{0} cat")), ("", None), ("[MASK] 1", Some(""))]
    {
        match tokenizer.encode(first, second, 9) {
            Ok(encoded) => assert_eq!(encoded.ids.len(), encoded.segments.len()),
            Err(error) => named(error),
        }
    }
    let _ = (tokenizer.vocab_size(), tokenizer.unknown_warning("text", &[]), tokenizer.likely_cause());
    true
}

#[test]
fn a_damaged_tokenizer_json_is_refused_by_name_or_gives_tokens() {
    let rounds: usize = std::env::var("LOTTERY_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let (dir, odd) = (tempfile::tempdir().unwrap(), odd_parts());
    let mut random = Random(0);
    let mut used = 0;
    for round in 0..rounds {
        let mut value = whole();
        if round % 3 > 0 {
            let (key, part) = &odd[random.below(odd.len())];
            value[*key] = part.clone();
        }
        for _ in 0..random.below(4) {
            mutate(&mut value, &mut random);
        }
        let mut bytes = value.to_string().into_bytes();
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len()));
        } else if random.below(8) == 0 {
            let place = random.below(bytes.len());
            bytes[place] ^= 1 << random.below(8);
        }
        let class = ["BertTokenizer", "PreTrainedTokenizerFast"][random.below(2)];
        used += usize::from(use_it(dir.path(), &bytes, class));
    }
    // Both ways are taken often.
    assert!((rounds / 10..rounds * 9 / 10).contains(&used), "{used} of {rounds} gave tokens");
}

/// The error of a folder with this `tokenizer.json`, read as it is.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut value = whole();
    change(&mut value);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), value.to_string()).unwrap();
    let config = r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#;
    std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    let error = Tokenizer::from_folder(dir.path()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    error.to_string().strip_prefix(&format!("{}/", dir.path().display())).unwrap().to_owned()
}

#[test]
fn a_file_on_which_the_library_panics_is_named() {
    let text =
        refusal(|file| file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "?"}));
    assert!(text.starts_with("tokenizer.json: the tokenizers library crashed: Precompiled"), "{text}");
    assert!(text.contains("Restore the file"), "{text}");
    let text = refusal(|file| file["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0}));
    assert!(text.starts_with("tokenizer.json: tokenizing this text failed"), "{text}");
    assert!(text.contains("the tokenizers library crashed: chunk size must be non-zero"), "{text}");
    let text = refusal(|file| file["post_processor"]["single"][0]["SpecialToken"]["id"] = json!("[NONE]"));
    assert!(text.starts_with("tokenizer.json: "), "{text}");
}

#[test]
fn a_panic_on_one_text_of_many_is_an_error_on_every_thread() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), whole().to_string()).unwrap();
    let mut tokenizer = Tokenizer::from_folder(dir.path()).unwrap();
    let broken = json!({"type": "FixedLength", "length": 0}).to_string();
    let broken: tokenizers::PreTokenizerWrapper = serde_json::from_str(&broken).unwrap();
    tokenizer.inner.with_pre_tokenizer(Some(broken));
    let example =
        |first: &str| Example { first: first.into(), second: None, label: crate::task::Label::Class(0) };
    let examples: Vec<Example> = (0..200).map(|n| example(if n % 7 == 0 { "the cat" } else { "" })).collect();
    let error = tokenizer.encode_all(&examples, 8).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("tokenizer.json: tokenizing this text failed"), "{error}");
    assert!(tokenizer.ids_of("the").is_err());
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let id = |id: Value| move |file: &mut Value| file["model"]["vocab"]["cat"] = id;
    for (text, wanted) in [
        (refusal(id(json!(-1))), "tokenizer.json: "),
        (refusal(id(json!(1_u64 << 32))), "tokenizer.json: "),
        (refusal(id(json!(u32::MAX))), "tokenizer.json: the token \"cat\" has the id 4294967295"),
        (
            refusal(|file| file["model"]["max_input_chars_per_word"] = json!(u64::MAX)),
            "tokenizer.json: max_input_chars_per_word is 18446744073709551615",
        ),
        (
            refusal(|file| file["model"]["unk_token"] = json!("<none>")),
            "tokenizer.json: the token <none>, its model.unk_token, is missing",
        ),
        (refusal(|file| file["model"]["vocab"] = json!({})), "tokenizer.json: the token"),
        (refusal(|file| file["added_tokens"][0]["id"] = json!(-1)), "tokenizer.json: "),
    ] {
        assert!(text.starts_with(wanted), "{text}");
    }
    // Numbers that nothing is made as large as.
    let mut file = whole();
    file["padding"]["strategy"]["Fixed"] = json!(u64::MAX);
    file["truncation"]["max_length"] = json!(u64::MAX);
    file["model"]["vocab"]["cat"] = json!(i32::MAX);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    let tokenizer = Tokenizer::from_folder(dir.path()).unwrap();
    assert_eq!(tokenizer.encode("the cat", None, 8).unwrap().ids, [2, 5, i32::MAX as u32, 3]);
    assert_eq!(tokenizer.vocab_size(), 1 << 31);
}

#[test]
fn rules_that_would_ask_for_all_memory_are_refused() {
    let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let text =
        refusal(|file| file["normalizer"] = json!({"type": "Sequence", "normalizers": vec![double; 60]}));
    assert!(
        text.contains("tokenizer.json: its normalizer and pre_tokenizer can make a text 1e18 times"),
        "{text}"
    );
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let text =
        refusal(|file| file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": vec![bytes; 40]}));
    assert!(text.contains("times as long"), "{text}");
}

#[test]
fn a_file_larger_than_any_tokenizer_is_not_read() {
    for name in ["tokenizer.json", "vocab.txt", "added_tokens.json"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), whole().to_string()).unwrap();
        // A file of holes takes no room on the disk.
        let large = std::fs::File::create(dir.path().join(name)).unwrap();
        large.set_len(crate::text::files::MAX_BYTES + 1).unwrap();
        let error = Tokenizer::from_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("67108865 bytes"), "{error}");
    }
}

#[test]
fn rules_nested_deeply_are_refused_or_used() {
    for depth in [20, 100, 10_000] {
        let dir = tempfile::tempdir().unwrap();
        let open = r#"{"type": "Sequence", "normalizers": ["#.repeat(depth);
        let nested = format!("{open}{}", "]}".repeat(depth));
        let bytes = whole().to_string().replace(&whole()["normalizer"].to_string(), &nested);
        for class in ["BertTokenizer", "PreTrainedTokenizerFast"] {
            let used = use_it(dir.path(), bytes.as_bytes(), class);
            assert_eq!(used, depth == 20, "{depth}");
        }
    }
}

#[test]
fn a_pointer_or_a_page_in_the_place_of_the_file_is_told() {
    for (content, what) in [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        ("<!DOCTYPE html><html>", "a web page"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for name in ["vocab.txt", "tokenizer.json", "tokenizer_config.json"] {
            std::fs::write(dir.path().join(name), content).unwrap();
            let error = Tokenizer::from_folder(dir.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: it is {what}")), "{error}");
        }
    }
}

#[test]
fn a_nul_in_a_sentence_is_dropped_as_transformers_does() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), whole().to_string()).unwrap();
    let tokenizer = Tokenizer::from_folder(dir.path()).unwrap();
    // "the ca\0ts" and "ca\0t" by transformers 5.24 are the words without it; more in tests/golden/folders.json.
    assert_eq!(tokenizer.encode("the ca\0ts", Some("ca\0t"), 9).unwrap().ids, [2, 5, 7, 8, 3, 7, 3]);
}
