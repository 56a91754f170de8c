//! The readers, each a function that is given a file and reads it as the program does. The mutated cases call them, and so
//! do the fuzz targets (`fuzz/`); `dir` is a folder with the files beside it.

use super::{
    harness,
    random::Random,
    told::{shown, told},
};
use lottery::{
    cli,
    eval::Source,
    experiment::TicketFile,
    export,
    model::{BertConfig, Head, weights::Pretrained},
    prune::{Mask, MaskText, PACKED},
    store::Store,
    sweep::status::overview,
    task::{Definition, Example, Label, TaskId, load, load_test},
    text::{Masking, Tokenizer, Unit, sequences},
    train::Silent,
};
use serde_json::Value;
use std::{fs, path::Path};

const TEXTS: &[&str] =
    &["good film", "", "\u{e9}\u{301} \u{4e2d}\u{6587} x.y", "the the the the the the the the", "\0\u{feff}"];

fn write(path: &Path, bytes: &[u8]) {
    harness::show(&path.file_name().unwrap_or_default().to_string_lossy(), bytes);
    fs::write(path, bytes).expect("a file");
}

/// The model in this folder, as runs and pre-trainings read it.
pub fn model(dir: &Path, random: &mut Random) {
    let Some(mut model) = told(Pretrained::load(dir)) else { return };
    let head = *random.of_list(&[
        Head::Classifier { labels: 2 },
        Head::Classifier { labels: 3 },
        Head::Classifier { labels: 1 },
        Head::MaskedLm,
        Head::Spans,
    ]);
    let Some(bert) = told(model.build(head, 1, random.chance(50))) else { return };
    told(bert.to_config_json(&["a", "b"]));
    told(bert.to_safetensors());
}

/// `model.safetensors`.
pub fn weights(dir: &Path, random: &mut Random, file: &[u8]) {
    write(&dir.join("model.safetensors"), file);
    model(dir, random);
}

/// `pytorch_model.bin`.
pub fn torch(dir: &Path, random: &mut Random, file: &[u8]) {
    write(&dir.join("pytorch_model.bin"), file);
    model(dir, random);
}

/// `config.json`.
pub fn config(dir: &Path, random: &mut Random, text: &[u8]) {
    write(&dir.join("config.json"), text);
    if let Some(config) = told(BertConfig::load(dir)) {
        told(config.saved_shape());
    }
    model(dir, random);
}

/// The tokenizer in this folder, and what it makes of texts.
pub fn tokenizer(dir: &Path, random: &mut Random) {
    let Some(tokenizer) = told(Tokenizer::from_folder(dir)) else { return };
    let _ = (tokenizer.vocab_size(), tokenizer.special_ids());
    let [first, second] = [random.of_list(TEXTS), random.of_list(TEXTS)];
    told(tokenizer.encode(first, random.chance(50).then_some(second), 1 + random.below(16)));
    let examples: Vec<Example> = TEXTS
        .iter()
        .map(|text| Example { first: (*text).into(), second: Some("bad".into()), label: Label::Class(0) })
        .collect();
    told(tokenizer.encode_all(&examples, 12));
    if let Some(masking) = told(Masking::new(&tokenizer, 0.15))
        && let Some(sequences) = told(sequences(&tokenizer, "good film\nand plot\n", Unit::File, 8))
    {
        let _ = sequences.iter().map(|sequence| masking.maskable(&sequence.ids)).sum::<usize>();
    }
}

/// A file of a task's data folder: TSV, JSON lines, CSV or Parquet by its name.
pub fn data(dir: &Path, task: TaskId, name: &str, file: &[u8]) {
    write(&dir.join(name), file);
    told(load(task.spec(), dir));
}

/// The files of `tests/golden/datasets.json` in a format, by task.
pub fn datasets(format: &str) -> Vec<(TaskId, String, Vec<u8>)> {
    let golden: Value = serde_json::from_str(include_str!("../golden/datasets.json")).expect("JSON");
    let tasks = golden["tasks"].as_object().expect("tasks");
    let of_task = tasks.iter().flat_map(|(task, formats)| {
        formats[format].as_object().expect("files").iter().map(move |(name, text)| {
            let text = text.as_str().expect("a text");
            let content = if format == "hub" { unhexed(text) } else { text.as_bytes().to_vec() };
            (task.parse().expect("a task"), name.clone(), content)
        })
    });
    of_task.collect()
}

pub fn unhexed(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The TOML of a user's task.
pub const DEFINITION: &[u8] =
    b"name = \"own\"\nabout = \"x\"\ntrain = [\"a.csv\"]\ndev = \"b.csv\"\ntest = \"a.csv\"\nformat = \"csv\"\n\
    labels = [{ value = 0, name = \"no\" }, { value = 1, name = \"yes\" }]\nmetric = \"accuracy\"\nmetrics = [\"f1\"]\n\
    [columns]\nfirst = \"t\"\nlabel = \"l\"\nindex = \"id\"\n";

/// The files that it names.
pub fn write_defined(dir: &Path) {
    fs::write(dir.join("a.csv"), "id,t,l\n0,x,1\n").expect("a file");
    fs::write(dir.join("b.csv"), "id,t,l\n0,y,0\n").expect("a file");
}

pub fn definition(dir: &Path, text: &[u8]) {
    let path = dir.join("task.toml");
    write(&path, text);
    let task = told(Definition::read(&path)).and_then(|definition| told(definition.task()));
    if let Some(task) = task {
        told(load(task.spec(), dir));
        told(load_test(task.spec(), dir));
    }
}

/// A ticket file. What was read is a mask that can be written and read again.
pub fn ticket_file(file: &[u8]) {
    let path = Path::new("ticket.safetensors");
    harness::show("ticket.safetensors", file);
    let Some(found) = told(TicketFile::parse(path, file)) else { return };
    told(found.ticket());
    let again = TicketFile::bytes(&found.mask, &found.about).expect("a mask is written");
    assert_eq!(TicketFile::parse(path, &again).expect("what was written is read").mask, found.mask);
}

/// A mask's text in JSON, and the file beside it where there is one. The same holds.
pub fn mask(text: &[u8], packed: Option<&[u8]>) {
    harness::show("mask", text);
    harness::show(PACKED, packed.unwrap_or_default());
    let Ok(text) = serde_json::from_slice::<MaskText>(text) else { return };
    let path = Path::new(PACKED);
    let Some(mask) = told(Mask::read(&text, packed.map(|packed| (path, packed)))) else { return };
    let again = mask.to_packed().expect("a mask is written");
    let again = Mask::read(&MaskText::from(&mask), again.as_deref().map(|packed| (path, packed)));
    assert_eq!(again.expect("what was written is read"), mask);
}

/// The records of a store, as they are shown.
pub fn records(store: &Store) {
    if let Some(overview) = told(overview(store)) {
        serde_json::to_string(&overview).expect("JSON");
        shown(&cli::shown(&overview, Some(80)));
    }
}

/// A record as `eval` and `export` take it.
pub fn record(path: &Path, store: &Store) {
    let Some(source) = told(Source::find(&path.to_string_lossy(), store, &mut Silent)) else { return };
    told(export::about(&source));
    told(source.trained(None, None, &mut Silent));
    let out = store.dir().join("ticket.safetensors");
    told(export::write_ticket(&source, &out));
    let _ = fs::remove_file(out);
}
