//! Errors about TSV files, with the likely cause and the remedy.

use std::path::Path;

use crate::{
    content::what_is,
    error::{Error, Result, excerpt},
    task::{Columns, Labels, TaskId, TaskSpec, rows::Wanted},
};

const UNQUOTE: &str = "Some cells are quoted, as written by pandas and spreadsheets; in GLUE's files a quote is an \
                       ordinary character. Write the file without quoting (quoting=csv.QUOTE_NONE in Python), and \
                       replace tabs and line breaks within texts by spaces.";

/// The most names of a header that are shown.
const NAMES: usize = 20;

/// The error for a file of another kind, after it could not be read as a table; `None` if the kind is not recognised.
pub fn other_kind(spec: &TaskSpec, path: &Path, bytes: &[u8]) -> Option<Error> {
    let path = path.display();
    if let Some(content) = what_is(bytes) {
        return Some(Error::data(format!("{path} is {}. {}", content.name, content.remedy)));
    }
    // No task's header and no identifier in CoLA begins like this.
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    start.starts_with(b"{").then(|| {
        Error::data(format!(
            "{path} is JSON. A file of {} with this ending is a table with tab-separated columns: if each line is an object, \
             name it .jsonl.",
            spec.folder
        ))
    })
}

/// # Errors
/// Data: the lines end in CR only. Within a line, CR is an ordinary character.
pub fn carriage_returns(path: &Path, bytes: &[u8]) -> Result<()> {
    let count = |wanted: u8| bytes.iter().filter(|byte| **byte == wanted).count();
    if count(b'\r') == 0 {
        return Ok(());
    }
    let lines = count(b'\n');
    let followed = bytes.windows(2).filter(|pair| *pair == b"\r\n").count();
    let at_the_end = usize::from(bytes.ends_with(b"\r"));
    if count(b'\r') - followed - at_the_end <= lines {
        return Ok(());
    }
    Err(Error::data(format!(
        "{}: the lines end in CR only, as on old Macs. Convert the file, for example with tr '\\r' '\\n'.",
        path.display()
    )))
}

pub fn missing_column(wanted: &Wanted, columns: &Columns, path: &Path, column: &str, header: &str) -> Error {
    let quotes = header.split('\t').any(|name| name.trim_matches('"') == column);
    let hint = if quotes {
        UNQUOTE
    } else if !header.contains('\t') && header.contains([',', ';']) {
        "The columns of this file seem to be separated by commas."
    } else if wanted.labels {
        "GLUE's unlabelled test files cannot be used."
    } else {
        "Labels are not needed here."
    };
    Error::data(format!(
        "{}: column \"{column}\" is missing; the header has: {}. A file of {} needs the tab-separated columns {}. {hint}",
        path.display(),
        quoted(header.split('\t')),
        wanted.spec.folder,
        quoted(columns.needed(wanted.labels)),
    ))
}

pub fn doubled_column(path: &Path, name: &str) -> Error {
    Error::data(format!(
        "{}: the header has the column \"{name}\" more than once. Remove all but one of them.",
        path.display()
    ))
}

/// A row with too few columns, or with too many because a quoted cell contains a tab.
pub fn width(path: &Path, number: usize, row: &[&str], expected: usize) -> Error {
    let hint = if quotes_a_tab(row) || row.iter().any(|cell| opens(cell)) {
        UNQUOTE
    } else {
        "Columns are separated by single tabs; correct the line, or download the file again if it was cut off."
    };
    Error::data(format!(
        "{}:{number}: the row has {} columns instead of {expected}. {hint}",
        path.display(),
        row.len()
    ))
}

/// Whether one cell starts with a quote that a later cell closes.
pub fn quotes_a_tab(row: &[&str]) -> bool {
    let open = row.iter().position(|cell| opens(cell));
    open.is_some_and(|open| row[open + 1..].iter().any(|cell| cell.ends_with('"') && is_odd(cell)))
}

fn opens(cell: &str) -> bool {
    cell.starts_with('"') && is_odd(cell)
}

fn is_odd(cell: &str) -> bool {
    cell.matches('"').count() % 2 == 1
}

/// `place` is the label's column, of `width` that a row should have.
pub fn label(
    spec: &TaskSpec,
    path: &Path,
    number: usize,
    row: &[&str],
    (place, width): (usize, usize),
) -> Error {
    let (word, path) = (row[place], path.display());
    if spec.id == TaskId::Mnli && word == "-" {
        return Error::data(format!(
            "{path}:{number}: the label is \"-\": the annotators of this pair did not agree. Raw MultiNLI and SNLI \
             files have such rows, GLUE's do not. Remove them, for example with awk -F'\\t' '${} != \"-\"'.",
            place + 1
        ));
    }
    let allowed = match spec.labels {
        Labels::Classes(names) => quoted(names.iter().copied()),
        Labels::Score { low, high } => format!("a number from {low} to {high}"),
        Labels::Spans | Labels::Words => "none".to_owned(),
    };
    Error::data(format!(
        "{path}:{number}: unknown label \"{}\"; {} allows {allowed}. {}",
        excerpt(word),
        spec.folder,
        cause(spec, word, row.len() > width)
    ))
}

/// The likely cause of an invalid label, with the remedy.
fn cause(spec: &TaskSpec, word: &str, is_wide: bool) -> &'static str {
    let names = spec.label_names();
    let number: Option<f64> = word.trim().parse().ok();
    let is_name = |word: &str| names.contains(&word);
    if word.trim().is_empty() || number == Some(-1.0) {
        "The row has no label: GLUE's unlabelled test files cannot be used."
    } else if is_name(word.trim_matches('"')) || is_wide && word.contains('"') {
        UNQUOTE
    } else if is_wide {
        "The row has more columns than the header: remove the tabs from its texts."
    } else if is_name(&word.trim().to_lowercase()) {
        "Write it exactly so, without spaces around it."
    } else if number.is_some_and(|number| is_name(&number.to_string())) {
        "Write it as a whole number: pandas turns integers into floats if values are missing."
    } else if number.is_some() && !names.is_empty() && !is_name("0") {
        "Write the name of the label: it is not clear which one the number stands for."
    } else {
        "Check that the file belongs to this task, with tab-separated columns."
    }
}

pub fn no_rows(path: &Path) -> Error {
    Error::data(format!(
        "{}: no rows. The file is empty, has only a header, or was cut off; download it again.",
        path.display()
    ))
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(NAMES).map(|name| format!("\"{}\"", excerpt(name))).collect();
    let more = names.count();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
