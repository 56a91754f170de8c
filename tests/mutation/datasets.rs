//! The same tasks in JSON lines, CSV and Parquet, and the TOML of a user's task.

use super::{bytes, harness, readers, world};
use std::fs;

/// Mutates one file at a time, the others being as they should.
fn any_file(reader: &'static str, of_thousand: u64, format: &str) {
    let folder = world::folder();
    let dir = folder.path();
    let files = readers::datasets(format);
    for (_, name, content) in &files {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), content).unwrap();
    }
    harness::run(reader, of_thousand, |random| {
        let (task, name, content) = random.of_list(&files);
        let mut mutated = content.clone();
        bytes::mutate(&mut mutated, &random.of_list(&files).2, random);
        readers::data(dir, *task, name, &mutated);
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
    readers::write_defined(folder.path());
    harness::run("definition", 20, |random| {
        let mut mutated = readers::DEFINITION.to_vec();
        bytes::mutate(&mut mutated, readers::DEFINITION, random);
        readers::definition(folder.path(), &mutated);
    });
}
