//! JSON lines: an object a line.

use super::{
    cells::{Cell, Reader, Unit},
    rows::{Rows, Wanted},
};
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// The examples of a file with this content. `path` is for errors alone. The first line says which columns there are.
///
/// # Errors
/// Data, naming file and line: a line that is no object, a missing column, an unknown label.
pub fn parse(wanted: &Wanted, path: &Path, bytes: &[u8]) -> Result<Rows> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Error::data(format!(
            "{} is one JSON list. Write an object a line, for example with jq -c '.[]'.",
            path.display()
        )));
    }
    let mut reader: Option<Reader> = None;
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
            Error::data(format!(
                "{}:{number}: not a JSON object: {error}. Each line holds one object, such as \
                 {{\"sentence\": \"…\", \"label\": 1}}.",
                path.display()
            ))
        })?;
        let reader = match &mut reader {
            Some(reader) => reader,
            none => {
                let names: Vec<&str> = row.keys().map(String::as_str).collect();
                none.insert(Reader::new(wanted, path, Unit::Line, &names)?)
            }
        };
        let names = reader.names();
        reader.row(number, |place| {
            names.get(place).and_then(|name| row.get(name)).map_or(Cell::Missing, cell)
        })?;
    }
    match reader {
        Some(reader) => reader.finish(),
        None => {
            Err(Error::data(format!("{}: no rows. The file is empty; download it again.", path.display())))
        }
    }
}

fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => Cell::Missing,
        Value::String(text) => Cell::Text(text),
        Value::Bool(true) => Cell::Text("true"),
        Value::Bool(false) => Cell::Text("false"),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Whole(whole),
            (None, Some(real)) => Cell::Real(real),
            (None, None) => Cell::Other,
        },
        Value::Array(_) | Value::Object(_) => Cell::Other,
    }
}
