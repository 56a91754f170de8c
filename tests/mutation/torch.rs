//! `pytorch_model.bin` in both of its forms, and the indexes of weights in several files.

use super::{bytes, harness, random::Random, readers, tree::Seeds, world};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/torch").join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(golden(name)).unwrap()
}

/// A small part of a file: most of it is numbers, which any change leaves whole.
fn mutate_part(file: &mut Vec<u8>, part: std::ops::Range<usize>, random: &mut Random) {
    let mut piece = file[part.clone()].to_vec();
    if random.chance(50) {
        // The same length, so that what stands behind it stays where it is.
        for _ in 0..1 + random.below(4) {
            let at = random.below(piece.len());
            piece[at] = *random.of_list(&[0, 1, 0x7f, 0x80, 0xff, b'(', b'.', b'R', b'h', piece[at] ^ 1]);
        }
    } else {
        let other = piece.clone();
        bytes::mutate(&mut piece, &other, random);
    }
    file.splice(part, piece);
}

#[test]
fn any_file_of_torch_save_is_read_or_refused() {
    let folder = world::folder();
    let dir = folder.path();
    fs::copy(golden("bin/config.json"), dir.join("config.json")).unwrap();
    let model = read("bin/pytorch_model.bin");
    let files = [model, read("zip.bin"), read("legacy.bin"), read("protocol4.bin"), read("checkpoint.bin")];
    let find = |file: &[u8], mark: &[u8]| file.windows(mark.len()).position(|window| window == mark);
    harness::run("torch", 60, |random| {
        let mut file = random.of_list(&files).clone();
        let length = file.len();
        let directory = find(&file, b"PK\x01\x02").unwrap_or(length / 2);
        // The pickle, the directory, or anything.
        let pickle = find(&file, b"\x80\x02").or(find(&file, b"\x80\x04")).unwrap_or(0);
        let part = match random.below(6) {
            0..3 => pickle..(pickle + 600).min(length),
            3 | 4 => directory..length,
            _ => 0..length,
        };
        mutate_part(&mut file, part, random);
        if random.chance(5) {
            file.truncate(random.below(length));
        }
        readers::torch(dir, random, &file);
    });
}

#[test]
fn any_index_of_weights_is_read_or_refused() {
    let index = "model.safetensors.index.json";
    let paths =
        br#"{"weight_map": {"a": "../x.bin", "b": "/x.bin", "c": "a/b.safetensors", "d": "..\\x.bin"}}"#;
    let seeds = Seeds::json(vec![read("shards/model.safetensors.index.json"), paths.to_vec()]);
    let folder = world::folder();
    let dir = folder.path();
    for entry in fs::read_dir(golden("shards")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    harness::run("shards", 20, |random| {
        let text = seeds.mutated(random);
        harness::show(index, &text);
        fs::write(dir.join(index), text).unwrap();
        readers::model(dir, random);
    });
}
