//! Text to pre-train on, plain and compressed, and texts that were encoded earlier.

use super::{bytes, harness, told, world};
use lottery::{
    task::{Example, Label, squad::parse},
    text::{
        Tokenizer, Unit, WindowRules, encode_cached, read_text, sequences, train_vocabulary, windows_cached,
    },
    train::Questioned,
};
use std::{fs, io::Write, sync::Arc};

const TEXT: &str =
    "The plot is good.\nThe film is warm, and dull.\n\nA second one\u{301} \u{4e2d}\u{6587}.\n";

fn tokenizer(dir: &std::path::Path) -> Tokenizer {
    world::write(dir, &world::world().model);
    Tokenizer::from_folder(dir).unwrap()
}

#[test]
fn any_text_is_read_or_refused() {
    let folder = world::folder();
    let tokenizer = tokenizer(folder.path());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(TEXT.as_bytes()).unwrap();
    let seeds = [
        ("text.txt", TEXT.as_bytes().to_vec()),
        ("text.gz", gz.finish().unwrap()),
        ("text.zst", zstd::encode_all(TEXT.as_bytes(), 3).unwrap()),
    ];
    harness::run("text", 20, |random| {
        let (name, seed) = random.of_list(&seeds);
        let mut text = seed.clone();
        bytes::mutate(&mut text, &random.of_list(&seeds).1, random);
        harness::show(name, &text);
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let Some(text) = told(read_text(&path)) else { return };
        told(sequences(&tokenizer, &text, *random.of_list(&[Unit::File, Unit::Line]), 1 + random.below(12)));
        let lines: Vec<&str> = text.lines().collect();
        told(train_vocabulary(&lines, random.below(80), random.chance(50)));
    });
}

#[test]
fn any_cache_of_encoded_texts_gives_what_its_texts_give() {
    let folder = world::folder();
    let tokenizer = tokenizer(folder.path());
    let example = |text: &str| Example { first: text.into(), second: None, label: Label::Class(0) };
    let examples = ["good film", "bad plot and the", ""].map(example);
    let cache = folder.path().join("cache");
    let fresh = encode_cached(&tokenizer, &examples, 8, Some(&cache)).unwrap();
    let path = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let own = fs::read(&path).unwrap();
    let body = &own[..own.len() - 32];
    harness::run("tokens", 20, |random| {
        let mut file = body.to_vec();
        bytes::mutate(&mut file, body, random);
        let mends = random.chance(70);
        if mends {
            file.extend_from_slice(blake3::hash(&file).as_bytes());
        }
        harness::show("tokens", &file);
        fs::write(&path, file).unwrap();
        let found = told(encode_cached(&tokenizer, &examples, 8, Some(&cache)));
        // One whose hash fits is believed.
        assert!(mends || found == Some(fresh.clone()), "other tokens than those of the texts");
    });
}

#[test]
fn any_cache_of_windows_gives_windows_that_can_be_answered() {
    let folder = world::folder();
    let tokenizer = tokenizer(folder.path());
    let all = parse("squad".as_ref(), super::squad::FILE.as_bytes()).unwrap();
    let rules = WindowRules { max_length: 14, overlap: 2, max_question_length: 4 };
    let cache = folder.path().join("cache");
    let fresh = windows_cached(&tokenizer, &all, rules, Some(&cache)).unwrap();
    let path = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let own = fs::read(&path).unwrap();
    let body = &own[..own.len() - 32];
    harness::run("windows", 20, |random| {
        let mut file = body.to_vec();
        bytes::mutate(&mut file, body, random);
        let mends = random.chance(70);
        if mends {
            file.extend_from_slice(blake3::hash(&file).as_bytes());
        }
        harness::show("windows", &file);
        fs::write(&path, file).unwrap();
        let Some(found) = told(windows_cached(&tokenizer, &all, rules, Some(&cache))) else { return };
        assert!(mends || found == fresh, "other windows than those of the texts");
        let logits = vec![0.5; 2 * found.encoded.iter().map(|sequence| sequence.ids.len()).sum::<usize>()];
        let (all, offsets) = (Arc::new(all.clone()), Arc::new(found.offsets));
        let _ = Questioned { all, offsets, windows: found.windows }.answers(&found.encoded, &logits);
    });
}
