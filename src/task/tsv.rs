//! GLUE's tab-separated files: one example a line, no quoting, UTF-8.

mod refusal;

use std::path::Path;

use super::{Columns, Example, Label, Labels, TaskSpec};
use crate::error::{Error, Result};

/// The labelled examples of one file with this content, in file order. `path` is only used in error messages.
///
/// Columns are found by the names in the header, which may follow a byte-order mark; other columns are ignored. Lines
/// end in LF or CRLF; empty lines are skipped. A quote is an ordinary character.
///
/// # Errors
/// Data, naming file and line: another kind of file, missing or duplicate column, row with too few columns
/// or with quotes around a tab, unknown label, invalid UTF-8, NUL, no rows.
pub(super) fn parse(spec: &TaskSpec, path: &Path, bytes: &[u8]) -> Result<Vec<Example>> {
    rows(spec, path, bytes).map_err(|error| refusal::other_kind(spec, path, bytes).unwrap_or(error))
}

fn rows(spec: &TaskSpec, path: &Path, bytes: &[u8]) -> Result<Vec<Example>> {
    refusal::carriage_returns(path, bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| !line.is_empty());

    let places = match spec.columns {
        Columns::Headerless { first, label, width } => Places { first, second: None, label, width },
        Columns::Named { .. } => match lines.next() {
            Some((number, line)) => Places::from_header(spec, path, text(path, number, line)?)?,
            None => return Err(refusal::no_rows(path)),
        },
    };

    let mut examples = Vec::new();
    let mut short_rows = 0;
    let mut first_short_row = None;
    for (number, line) in lines {
        let row: Vec<&str> = text(path, number, line)?.split('\t').collect();
        if row.len() < places.width {
            short_rows += 1;
            first_short_row.get_or_insert((number, row));
            continue;
        }
        if row.len() > places.width && refusal::quotes_a_tab(&row) {
            return Err(refusal::width(path, number, &row, places.width));
        }
        examples.push(Example {
            first: row[places.first].to_owned(),
            second: places.second.map(|place| row[place].to_owned()),
            label: label(spec, row[places.label])
                .ok_or_else(|| refusal::label(spec, path, number, &row, (places.label, places.width)))?,
        });
    }

    // A few lines of the official QQP file are broken; more than one in a hundred means another kind of file.
    let forgiven = if spec.has_broken_rows { examples.len() / 100 } else { 0 };
    if let Some((number, row)) = first_short_row.filter(|_| short_rows > forgiven) {
        return Err(refusal::width(path, number, &row, places.width));
    }
    if examples.is_empty() {
        return Err(refusal::no_rows(path));
    }
    Ok(examples)
}

/// Zero-based positions of the columns that are read, and the number of columns that a row must have.
struct Places {
    first: usize,
    second: Option<usize>,
    label: usize,
    width: usize,
}

impl Places {
    fn from_header(spec: &TaskSpec, path: &Path, header: &str) -> Result<Self> {
        let Columns::Named { first, second, label } = spec.columns else {
            return Err(Error::internal(format!("{} files have no header", spec.name)));
        };
        let names: Vec<&str> = header.split('\t').collect();
        let place = |wanted: &str| {
            let mut found = names.iter().enumerate().filter(|(_, name)| **name == wanted);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => Ok(place),
                (Some(_), Some(_)) => Err(refusal::doubled_column(path, wanted)),
                (None, _) => Err(refusal::missing_column(spec, path, wanted, header)),
            }
        };
        Ok(Self {
            first: place(first)?,
            second: second.map(place).transpose()?,
            label: place(label)?,
            width: names.len(),
        })
    }
}

fn text<'a>(path: &Path, number: usize, line: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(line).map_err(|error| {
        Error::data(format!(
            "{}:{number}: invalid UTF-8 at byte {} of the line. Convert the file to UTF-8, or download it again.",
            path.display(),
            error.valid_up_to() + 1
        ))
    })?;
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(Error::data(format!(
            "{}:{number}: a NUL character at byte {} of the line. The file is damaged, or UTF-16: download it again, or \
             convert it to UTF-8.",
            path.display(),
            at + 1
        ))),
    }
}

fn label(spec: &TaskSpec, word: &str) -> Option<Label> {
    match spec.labels {
        Labels::Classes(names) => {
            let class = names.iter().zip(0..).find(|(name, _)| **name == word);
            class.map(|(_, index)| Label::Class(index))
        }
        Labels::Score => word.parse().ok().filter(|score| (0.0..=5.0).contains(score)).map(Label::Score),
    }
}

#[cfg(test)]
mod tests;
