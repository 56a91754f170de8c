//! Comma-separated files: a header, cells in quotes where they contain commas, quotes or line breaks.

use super::{
    cells::{Cell, Reader, Unit},
    rows::{Rows, Wanted},
};
use crate::error::{Error, Result};
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use std::path::Path;

/// The examples of a file with this content. `path` is for errors alone.
///
/// # Errors
/// Data, naming file and line: a missing column, a row that is too short or too long, an unknown label, invalid UTF-8.
pub fn parse(wanted: &Wanted, path: &Path, bytes: &[u8]) -> Result<Rows> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut file = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| {
        let there = file.read_record(record).map_err(|error| damaged(path, &error))?;
        Ok::<_, Error>(there.then(|| record.position().map_or(0, |at| at.line() as usize)))
    };
    let header = match next(&mut record)? {
        Some(_) => record.clone(),
        None => StringRecord::new(),
    };
    let names: Vec<&str> = header.iter().collect();
    let mut reader = Reader::new(wanted, path, Unit::Line, &names)?;
    let mut line = reader.places().is_headerless.then_some(1);
    loop {
        let number = match line.take() {
            Some(number) => number,
            None => match next(&mut record)? {
                Some(number) => number,
                None => return reader.finish(),
            },
        };
        if record.len() != names.len() {
            return Err(Error::data(format!(
                "{}:{number}: the row has {} columns instead of {}. A text with commas, quotes or line breaks has to stand \
                 in double quotes, with quotes within it doubled.",
                path.display(),
                record.len(),
                names.len()
            )));
        }
        reader.row(number, |place| record.get(place).map_or(Cell::Missing, Cell::Text))?;
    }
}

fn damaged(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let path = path.display();
    Error::data(match error.kind() {
        ErrorKind::Utf8 { .. } => {
            format!("{path}:{line}: invalid UTF-8. Convert the file to UTF-8, or download it again.")
        }
        _ => format!("{path}:{line}: {error}. Write the file again, as CSV."),
    })
}
