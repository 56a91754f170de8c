//! The same tasks in JSON lines, CSV and Parquet, and the TOML of a user's task.

use super::{bytes, harness, told, world};
use lottery::task::{Definition, TaskId, load, load_test};
use serde_json::Value;
use std::fs;

/// Files of `tests/golden/datasets.json` in this format, by task.
fn files(format: &str) -> Vec<(TaskId, String, Vec<u8>)> {
    let golden: Value = serde_json::from_str(include_str!("../golden/datasets.json")).unwrap();
    let hex = |text: &str| {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let tasks = golden["tasks"].as_object().unwrap();
    let of_task = tasks.iter().flat_map(|(task, formats)| {
        formats[format].as_object().unwrap().iter().map(move |(name, text)| {
            let text = text.as_str().unwrap();
            let content = if format == "hub" { hex(text) } else { text.as_bytes().to_vec() };
            (task.parse().unwrap(), name.clone(), content)
        })
    });
    of_task.collect()
}

/// Mutates one file at a time, the others being as they should.
fn any_file(reader: &'static str, of_thousand: u64, format: &str) {
    let folder = world::folder();
    let dir = folder.path();
    let files = files(format);
    for (_, name, content) in &files {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), content).unwrap();
    }
    harness::run(reader, of_thousand, |random| {
        let (task, name, content) = random.of_list(&files);
        let mut mutated = content.clone();
        bytes::mutate(&mut mutated, &random.of_list(&files).2, random);
        harness::show(name, &mutated);
        fs::write(dir.join(name), mutated).unwrap();
        told(load(task.spec(), dir));
        fs::write(dir.join(name), content).unwrap();
    });
}

#[test]
fn any_json_lines_are_read_or_refused() {
    any_file("jsonl", 30, "jsonl");
}

#[test]
fn any_csv_is_read_or_refused() {
    any_file("csv", 30, "csv");
}

#[test]
fn any_parquet_file_is_read_or_refused() {
    any_file("parquet", 60, "hub");
}

#[test]
fn any_definition_of_a_task_is_taken_or_refused() {
    let folder = world::folder();
    let dir = folder.path();
    fs::write(dir.join("a.csv"), "id,t,l\n0,x,1\n").unwrap();
    fs::write(dir.join("b.csv"), "id,t,l\n0,y,0\n").unwrap();
    let good = b"name = \"own\"\nabout = \"x\"\ntrain = [\"a.csv\"]\ndev = \"b.csv\"\ntest = \"a.csv\"\nformat = \"csv\"\n\
        labels = [{ value = 0, name = \"no\" }, { value = 1, name = \"yes\" }]\nmetric = \"accuracy\"\nmetrics = [\"f1\"]\n\
        [columns]\nfirst = \"t\"\nlabel = \"l\"\nindex = \"id\"\n";
    harness::run("definition", 20, |random| {
        let mut mutated = good.to_vec();
        bytes::mutate(&mut mutated, good, random);
        harness::show("task.toml", &mutated);
        fs::write(dir.join("task.toml"), mutated).unwrap();
        let task =
            told(Definition::read(&dir.join("task.toml"))).and_then(|definition| told(definition.task()));
        if let Some(task) = task {
            told(load(task.spec(), dir));
            told(load_test(task.spec(), dir));
        }
    });
}
