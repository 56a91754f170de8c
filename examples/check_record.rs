//! Checks run records against their JSON Schema, `schemas/record.schema.json`, files that are called `ticket.json` against
//! `schemas/ticket.schema.json`, and the lines of files whose names end in `.jsonl`, which are events, against
//! `schemas/event.schema.json`.
//!
//! ```text
//! cargo run --release --example check_record -- FILE...
//! lottery run --json | cargo run --release --example check_record
//! ```
//!
//! `-` or no argument is standard input. Every valid file is one line on stdout. Every violation is one line on stderr,
//! `FILE#/json/pointer: what is wrong` (of a line, `FILE:NUMBER#/…`); with any of them, or with a file that holds no JSON, the exit status is 1.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};
use validator::Validator;

#[path = "../tests/cli/validator.rs"]
mod validator;

const RECORD: &str = include_str!("../schemas/record.schema.json");
const TICKET: &str = include_str!("../schemas/ticket.schema.json");
const EVENT: &str = include_str!("../schemas/event.schema.json");

fn main() -> Result<ExitCode> {
    let validator = |schema| serde_json::from_str(schema).map(Validator::new);
    let (record, ticket, event) = (validator(RECORD)?, validator(TICKET)?, validator(EVENT)?);
    let mut files: Vec<String> = env::args().skip(1).collect();
    if files.is_empty() {
        files.push("-".to_owned());
    }
    let mut all_valid = true;
    for file in &files {
        let whole = if Path::new(file).ends_with("ticket.json") { &ticket } else { &record };
        let violations = match violations(whole, &event, file) {
            Ok(violations) => violations,
            // One damaged file does not hide what is wrong with the others.
            Err(error) => vec![format!("{file}: {error:#}")],
        };
        if violations.is_empty() {
            println!("{file}: valid");
        }
        violations.iter().for_each(|violation| eprintln!("{violation}"));
        all_valid &= violations.is_empty();
    }
    Ok(if all_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn violations(record: &Validator, event: &Validator, file: &str) -> Result<Vec<String>> {
    let mut text = String::new();
    match file {
        "-" => io::stdin().read_to_string(&mut text).map(|_| ()),
        path => fs::read_to_string(path).map(|content| text = content),
    }
    .context("cannot be read")?;
    if !file.ends_with(".jsonl") {
        return wrong(record, &text, file);
    }
    let lines = text.lines().enumerate().map(|(n, line)| {
        let place = format!("{file}:{}", n + 1);
        wrong(event, line, &place).unwrap_or_else(|error| vec![format!("{place}: {error:#}")])
    });
    Ok(lines.flatten().collect())
}

fn wrong(validator: &Validator, text: &str, place: &str) -> Result<Vec<String>> {
    let value = serde_json::from_str(text).context("is not JSON")?;
    let told = |(pointer, words): (String, String)| format!("{place}#{pointer}: {words}");
    Ok(validator.violations(&value).into_iter().map(told).collect())
}
