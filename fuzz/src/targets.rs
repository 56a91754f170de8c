//! What is fuzzed.

use super::{Target, readers, seeds, told::told, world};
use lottery::{store::Store, task::TaskId};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

fn model_file(name: &str) -> Vec<u8> {
    world::world().model[Path::new(name)].clone()
}

fn write_model(dir: &Path) {
    world::write(dir, &world::world().model);
}

fn nothing(_: &Path) {}

/// The training file of the first task of a format, beside all other files.
macro_rules! dataset {
    ($name:literal, $format:literal) => {
        Target {
            name: $name,
            set_up: |dir| {
                let files = readers::datasets($format).into_iter().map(|(_, name, file)| (name.into(), file));
                world::write(dir, &files.collect());
            },
            read: |dir, _, file| {
                static TRAIN: LazyLock<Dataset> = LazyLock::new(|| train_of($format));
                readers::data(dir, TRAIN.0, &TRAIN.1, file);
            },
            seeds: || vec![train_of($format).2],
        }
    };
}

type Dataset = (TaskId, String, Vec<u8>);

fn train_of(format: &str) -> Dataset {
    readers::datasets(format)
        .into_iter()
        .find(|(_, name, _)| name.contains("train"))
        .expect("a training file")
}

pub static SAFETENSORS: Target = Target {
    name: "safetensors",
    set_up: write_model,
    read: readers::weights,
    seeds: || vec![model_file("model.safetensors")],
};

pub static PICKLE: Target = Target {
    name: "pickle",
    set_up: |dir| _ = fs::copy(golden("torch/bin/config.json"), dir.join("config.json")).expect("a copy"),
    read: readers::torch,
    seeds: || {
        let files = ["bin/pytorch_model.bin", "zip.bin", "legacy.bin", "protocol4.bin", "checkpoint.bin"];
        files.map(|name| fs::read(golden("torch").join(name)).expect("a file")).into()
    },
};

pub static CONFIG: Target = Target {
    name: "config",
    set_up: write_model,
    read: readers::config,
    seeds: || vec![model_file("config.json")],
};

pub static TOKENIZER: Target = Target {
    name: "tokenizer",
    set_up: nothing,
    read: |dir, random, file| {
        fs::write(dir.join("tokenizer.json"), file).expect("a file");
        readers::tokenizer(dir, random);
    },
    seeds: || vec![model_file("tokenizer.json")],
};

pub static TSV: Target = Target {
    name: "tsv",
    set_up: |dir| {
        world::write(dir, &world::Files::from([("RTE/dev.tsv".into(), world::rte(12).into_bytes())]))
    },
    read: |dir, _, file| readers::data(dir, TaskId::Rte, "RTE/train.tsv", file),
    seeds: || vec![world::rte(0).into_bytes()],
};

pub static JSONL: Target = dataset!("jsonl", "jsonl");
pub static CSV: Target = dataset!("csv", "csv");
pub static PARQUET: Target = dataset!("parquet", "hub");

pub static TASK: Target = Target {
    name: "task",
    set_up: readers::write_defined,
    read: |dir, _, file| readers::definition(dir, file),
    seeds: || vec![readers::DEFINITION.to_vec()],
};

pub static TICKET: Target = Target {
    name: "ticket",
    set_up: nothing,
    read: |_, _, file| readers::ticket_file(file),
    seeds: seeds::ticket_files,
};

/// The text's first line, and behind it the file of bits.
pub static MASK: Target = Target {
    name: "mask",
    set_up: nothing,
    read: |_, _, file| match file.iter().position(|byte| *byte == b'\n') {
        Some(end) => readers::mask(&file[..end], Some(&file[end + 1..])),
        None => readers::mask(file, None),
    },
    seeds: || {
        let joined = |(text, packed): (Vec<u8>, Option<Vec<u8>>)| match packed {
            Some(packed) => [text, b"\n".to_vec(), packed].concat(),
            None => text,
        };
        seeds::masks().into_iter().map(joined).collect()
    },
};

const RECORD_PATH: &str = "results/rte/heads+ffns/good/seed-1337.json";

pub static RECORD: Target = Target {
    name: "record",
    set_up: |dir| world::write(dir, &world::world().store),
    read: |dir, _, file| {
        let path = dir.join(RECORD_PATH);
        fs::write(&path, file).expect("a file");
        let Some(store) = told(Store::open(dir)) else { return };
        readers::records(&store);
        readers::record(&path, &store);
    },
    seeds: || vec![world::world().store[Path::new(RECORD_PATH)].clone()],
};
