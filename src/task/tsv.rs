//! GLUE's tab-separated files: one example a line, no quoting, UTF-8.

mod refusal;

use super::{
    Columns, Example, Label, Labels, TaskSpec,
    rows::{Rows, Wanted},
};
use crate::error::{Error, Result};
use std::path::Path;

/// The examples of one file with this content, in file order. `path` is only used in error messages.
///
/// Columns are found by the names in the header, which may follow a byte-order mark; other columns are ignored. Lines
/// end in LF or CRLF; empty lines are skipped. A quote is an ordinary character.
///
/// # Errors
/// Data, naming file and line: another kind of file, missing or duplicate column, row with too few columns
/// or with quotes around a tab, unknown label, invalid UTF-8, NUL, no rows.
pub(super) fn parse(wanted: &Wanted, path: &Path, bytes: &[u8]) -> Result<Rows> {
    rows(wanted, path, bytes).map_err(|error| refusal::other_kind(wanted.spec, path, bytes).unwrap_or(error))
}

fn rows(wanted: &Wanted, path: &Path, bytes: &[u8]) -> Result<Rows> {
    let spec = wanted.spec;
    refusal::carriage_returns(path, bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| !line.is_empty())
        .peekable();

    let Some((number, line)) = lines.peek() else { return Err(refusal::no_rows(path)) };
    let places = Places::of(wanted, path, text(path, *number, line)?)?;
    if places.has_header {
        lines.next();
    }

    let mut rows = Rows::default();
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
        if places.only.is_some_and(|(place, value)| row[place] != value) {
            continue;
        }
        let label = match places.label {
            Some(place) if spec.skips_unlabelled && row[place] == "-" => {
                rows.skipped += 1;
                continue;
            }
            Some(place) => label(spec, row[place])
                .ok_or_else(|| refusal::label(spec, path, number, &row, (place, places.width)))?,
            None => Label::Unknown,
        };
        let example = Example {
            first: row[places.first].to_owned(),
            second: places.second.map(|place| row[place].to_owned()),
            label,
        };
        rows.push(example, places.index.map(|place| row[place]));
    }

    // A few lines of the official QQP file are broken; more than one in a hundred means another kind of file.
    let forgiven = if spec.has_broken_rows { rows.examples.len() / 100 } else { 0 };
    if let Some((number, row)) = first_short_row.filter(|_| short_rows > forgiven) {
        return Err(refusal::width(path, number, &row, places.width));
    }
    if rows.examples.is_empty() {
        return Err(refusal::no_rows(path));
    }
    Ok(rows)
}

/// Zero-based positions of the columns that are read, and the number of columns that a row must have.
struct Places {
    has_header: bool,
    first: usize,
    second: Option<usize>,
    label: Option<usize>,
    index: Option<usize>,
    only: Option<(usize, &'static str)>,
    width: usize,
}

impl Places {
    /// By the first line: the first of the task's columns whose names it has all of, or else those without a header.
    fn of(wanted: &Wanted, path: &Path, header: &str) -> Result<Self> {
        let names: Vec<&str> = header.split('\t').collect();
        let (named, headerless): (Vec<_>, Vec<_>) =
            wanted.spec.all_columns().partition(|columns| matches!(columns, Columns::Named { .. }));
        let fits = |columns: &&Columns| columns.needed(wanted.labels).iter().all(|name| names.contains(name));
        match (named.iter().find(fits), headerless.first(), named.first()) {
            (None, Some(&Columns::Headerless { first, second, label, width }), _) => Ok(Self {
                has_header: false,
                first,
                second,
                label: wanted.labels.then_some(label),
                index: None,
                only: None,
                width,
            }),
            (Some(columns), ..) | (None, None, Some(columns)) => {
                Self::from_header(wanted, columns, path, header, &names)
            }
            _ => Err(Error::internal(format!("{} has no columns", wanted.spec.name))),
        }
    }

    fn from_header(
        wanted: &Wanted,
        columns: &Columns,
        path: &Path,
        header: &str,
        names: &[&str],
    ) -> Result<Self> {
        let place = |wanted_name: &str| {
            let mut found = names.iter().enumerate().filter(|(_, name)| **name == wanted_name);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => Ok(place),
                (Some(_), Some(_)) => Err(refusal::doubled_column(path, wanted_name)),
                (None, _) => Err(refusal::missing_column(wanted, columns, path, wanted_name, header)),
            }
        };
        let &Columns::Named { first, second, label } = columns else {
            return Err(Error::internal(format!("{} files have no header", wanted.spec.name)));
        };
        let index = wanted.spec.index.iter().find_map(|index| names.iter().position(|name| name == index));
        Ok(Self {
            has_header: true,
            first: place(first)?,
            second: second.map(place).transpose()?,
            label: wanted.labels.then(|| place(label)).transpose()?,
            index,
            only: wanted.only.map(|(name, value)| Ok((place(name)?, value))).transpose()?,
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
        Labels::Classes(_) => spec.class(word).map(Label::Class),
        Labels::Score { low, high } => {
            word.parse().ok().filter(|score| (low..=high).contains(score)).map(Label::Score)
        }
        Labels::Spans | Labels::Words => None,
    }
}

#[cfg(test)]
mod tests;
