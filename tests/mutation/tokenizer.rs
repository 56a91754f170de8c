//! The files of a tokenizer: fast ones, slow ones, and what lies beside them.

use super::{bytes, harness, readers, tree::Seeds, world};
use std::{fs, path::Path};

#[test]
fn any_tokenizer_is_read_or_refused() {
    let model = &world::world().model;
    let file = |name: &str| model[Path::new(name)].clone();
    let embedded = include_bytes!("../../models/tiny/tokenizer.json").to_vec();
    let fast = Seeds::json(vec![file("tokenizer.json"), embedded]);
    let special = r#"{"cls_token": "[CLS]", "mask_token": {"content": "[MASK]", "lstrip": true, "normalized": false},
        "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]"}"#;
    let beside = [
        ("tokenizer_config.json", Seeds::json(vec![file("tokenizer_config.json"), special.into()])),
        ("special_tokens_map.json", Seeds::json(vec![special.into(), file("tokenizer_config.json")])),
        (
            "added_tokens.json",
            Seeds::json(vec![br#"{"[E1]": 48, "[E2]": 49}"#.to_vec(), br#"{"film": 7}"#.to_vec()]),
        ),
    ];
    let words = file("vocab.txt");
    let cased = b"[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\ngood\r\n##d\r\n".to_vec();
    harness::run("tokenizer", 120, |random| {
        // A folder of its own, for which files are there matters.
        let folder = world::folder();
        let dir = folder.path();
        let write = |name: &str, text: Vec<u8>| {
            harness::show(name, &text);
            fs::write(dir.join(name), text).unwrap();
        };
        if random.chance(60) {
            let whole = random.chance(15);
            write("tokenizer.json", if whole { file("tokenizer.json") } else { fast.mutated(random) });
        } else {
            let mut text = random.of_list(&[&words, &cased]).to_vec();
            if random.chance(80) {
                bytes::mutate(&mut text, &words, random);
            }
            write("vocab.txt", text);
        }
        for (name, seeds) in &beside {
            match random.below(6) {
                0 | 1 => write(name, seeds.mutated(random)),
                2 => write(name, seeds.texts[0].clone()),
                _ => {}
            }
        }
        readers::tokenizer(dir, random);
    });
}

#[test]
fn any_byte_level_tokenizer_is_read_or_refused() {
    let golden = |name: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bpe").join(name)).unwrap()
    };
    // The first tokens and merges: the alphabet and what is joined of it.
    let vocab: serde_json::Value = serde_json::from_slice(&golden("vocab.json")).unwrap();
    let few = vocab.as_object().unwrap().iter().filter(|(_, id)| id.as_u64().unwrap() < 300);
    let few: serde_json::Map<_, _> = few.map(|(token, id)| (token.clone(), id.clone())).collect();
    let merges: Vec<u8> =
        golden("merges.txt").split_inclusive(|byte| *byte == b'\n').take(30).collect::<Vec<_>>().concat();
    let vocabs = Seeds::json(vec![
        serde_json::to_vec(&few).unwrap(),
        br#"{"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3}"#.to_vec(),
    ]);
    let config = r#"{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true, "trim_offsets": false,
        "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": true}, "truncation_side": "left"}"#;
    let configs =
        Seeds::json(vec![config.into(), br#"{"tokenizer_class": "RobertaTokenizerFast"}"#.to_vec()]);
    harness::run("byte-level", 40, |random| {
        let folder = world::folder();
        let dir = folder.path();
        let write = |name: &str, text: Vec<u8>| {
            harness::show(name, &text);
            fs::write(dir.join(name), text).unwrap();
        };
        write("vocab.json", if random.chance(60) { vocabs.mutated(random) } else { vocabs.texts[0].clone() });
        let mut text = merges.clone();
        if random.chance(60) {
            bytes::mutate(&mut text, &merges, random);
        }
        write("merges.txt", text);
        write(
            "tokenizer_config.json",
            if random.chance(50) { configs.mutated(random) } else { configs.texts[0].clone() },
        );
        write("config.json", br#"{"model_type": "roberta"}"#.to_vec());
        readers::tokenizer(dir, random);
    });
}
