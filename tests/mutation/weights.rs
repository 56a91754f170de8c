//! `model.safetensors`: its header's text, its length, its data.

use super::{bytes, harness, random::Random, readers, tree::Seeds, world};
use half::f16;
use lottery::model::{Bert, Head, weights::Stored};
use std::path::Path;

/// The header and the data of a whole file.
fn parts(file: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    (file[8..8 + length].to_vec(), file[8 + length..].to_vec())
}

fn joined(header: &[u8], data: &[u8], random: &mut Random) -> Vec<u8> {
    let right = header.len() as u64;
    let length = match random.below(12) {
        0 => *random.of_list(&[
            0,
            1,
            right - 1,
            right + 1,
            1 << 32,
            100_000_000,
            100_000_001,
            u64::MAX,
            u64::MAX - 7,
            1 << 63,
        ]),
        _ => right,
    };
    [&length.to_le_bytes()[..], header, data].concat()
}

#[test]
fn any_weights_are_read_or_refused() {
    let folder = world::folder();
    let dir = folder.path();
    let model = &world::world().model;
    world::write(dir, model);
    let own = &model[Path::new("model.safetensors")];
    let config = serde_json::from_slice(&model[Path::new("config.json")]).unwrap();
    let half = Bert::random(config, Head::MaskedLm, 3).to_safetensors_as(Stored::F16).unwrap();
    let one =
        br#"{"__metadata__":{"format":"pt"},"x":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#.to_vec();
    let empty = br#"{"x":{"dtype":"BOOL","shape":[0,1099511627776],"data_offsets":[0,0]}}"#.to_vec();
    let mut wholes =
        vec![parts(own), parts(&half), (one, f16::ONE.to_le_bytes().to_vec()), (empty, Vec::new())];
    // The same tensors, as another program may name and store them.
    let (header, data) = wholes[0].clone();
    let header = String::from_utf8(header).unwrap();
    wholes.push((header.replace("bert.", "").into_bytes(), data.clone()));
    wholes.push((header.replace("F32", "I32").into_bytes(), data.clone()));
    wholes.push((header.replace("bert.", "module.bert.").into_bytes(), data));
    let seeds = Seeds::json(wholes.iter().map(|(header, _)| header.clone()).collect());
    harness::run("weights", 150, |random| {
        let nth = random.below(wholes.len());
        let (header, data) = &wholes[nth];
        let (mut header, mut data) = (header.clone(), data.clone());
        match random.below(6) {
            0 => bytes::mutate(&mut data, own, random),
            1 => data.truncate(random.below(data.len() + 1)),
            2 => data.extend(vec![0xff; random.below(64)]),
            _ => {}
        }
        if random.chance(75) {
            header = seeds.mutated_of(nth, random);
        }
        let mut file = joined(&header, &data, random);
        if random.chance(10) {
            bytes::mutate(&mut file, own, random);
        }
        readers::weights(dir, random, &file);
    });
}
