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
    let rounds: usize = std::env::var("LOTTERY_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(4000);
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
