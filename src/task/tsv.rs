//! GLUE's tab-separated files: one example a line, no quoting, UTF-8.

use std::path::Path;

use super::{Columns, Example, Label, Labels, TaskSpec};
use crate::error::{Error, Result};

/// Reads the labelled examples of one file, in file order.
///
/// Columns are found by the names in the header (a byte-order mark before it is fine); columns that the task does
/// not need may come and go. Lines end in LF or CRLF; empty lines are left out. A quote is a plain character.
///
/// # Errors
/// `Error::Data` naming file and line: unreadable file, missing column, row with too few columns, unknown label,
/// invalid UTF-8, no rows.
pub fn read_tsv(spec: &TaskSpec, path: &Path) -> Result<Vec<Example>> {
    parse(spec, path, &read(path)?)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io(path, "read", &error))
}

/// `path` serves the error texts only.
pub(super) fn parse(spec: &TaskSpec, path: &Path, bytes: &[u8]) -> Result<Vec<Example>> {
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
            None => return Err(no_rows(path)),
        },
    };

    let mut examples = Vec::new();
    let mut short_rows = 0;
    let mut first_short_row = None;
    for (number, line) in lines {
        let row: Vec<&str> = text(path, number, line)?.split('\t').collect();
        if row.len() < places.width {
            short_rows += 1;
            first_short_row.get_or_insert((number, row.len()));
            continue;
        }
        examples.push(Example {
            first: row[places.first].to_owned(),
            second: places.second.map(|place| row[place].to_owned()),
            label: label(spec, path, number, row[places.label])?,
        });
    }

    // A few lines of the official QQP file are broken; more than one in a hundred is another kind of file.
    let forgiven = if spec.has_broken_rows { examples.len() / 100 } else { 0 };
    if let Some((number, found)) = first_short_row.filter(|_| short_rows > forgiven) {
        return Err(Error::data(format!(
            "{}:{number}: the row has {found} columns, {} are expected. Columns are separated by single tabs; \
             mend the line, or fetch the file again if it was cut off.",
            path.display(),
            places.width
        )));
    }
    if examples.is_empty() {
        return Err(no_rows(path));
    }
    Ok(examples)
}

/// Zero-based positions of what is read from a row, and how many columns it must have.
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
            names.iter().position(|name| *name == wanted).ok_or_else(|| {
                Error::data(format!(
                    "{}: column \"{wanted}\" is missing; the header has: {}. A {} file needs the columns {}, \
                     separated by tabs (GLUE's unlabelled test files cannot be used).",
                    path.display(),
                    quoted(names.iter().copied()),
                    spec.folder,
                    quoted([first].into_iter().chain(second).chain([label])),
                ))
            })
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
    std::str::from_utf8(line).map_err(|error| {
        Error::data(format!(
            "{}:{number}: invalid UTF-8 at byte {} of the line. Convert the file to UTF-8, or fetch it again.",
            path.display(),
            error.valid_up_to() + 1
        ))
    })
}

fn label(spec: &TaskSpec, path: &Path, number: usize, word: &str) -> Result<Label> {
    let (label, allowed) = match spec.labels {
        Labels::Classes(names) => {
            let class = names.iter().zip(0..).find(|(name, _)| **name == word);
            (class.map(|(_, index)| Label::Class(index)), quoted(names.iter().copied()))
        }
        Labels::Score => {
            let score = word.parse().ok().filter(|score| (0.0..=5.0).contains(score));
            (score.map(Label::Score), "a number from 0 to 5".to_owned())
        }
    };
    label.ok_or_else(|| {
        Error::data(format!(
            "{}:{number}: unknown label \"{word}\"; {} allows {allowed}. Check that the file is that task's, \
             with tabs between its columns.",
            path.display(),
            spec.folder
        ))
    })
}

fn no_rows(path: &Path) -> Error {
    Error::data(format!("{}: no rows. The file is empty or was cut off; fetch it again.", path.display()))
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    fn parsed(task: TaskId, content: &[u8]) -> Result<Vec<Example>> {
        parse(task.spec(), Path::new("some/dev.tsv"), content)
    }

    fn message(task: TaskId, content: &[u8]) -> String {
        let error = parsed(task, content).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    }

    fn pair(first: &str, second: &str, class: u32) -> Example {
        Example { first: first.into(), second: Some(second.into()), label: Label::Class(class) }
    }

    #[test]
    fn columns_are_found_by_name_wherever_they_stand() {
        let usual = b"index\tsentence1\tsentence2\tlabel\n0\tA b.\tC \"d.\tnot_entailment\n";
        let moved = b"label\textra\tsentence2\tsentence1\nnot_entailment\t?\tC \"d.\tA b.\n";
        let expected = vec![pair("A b.", "C \"d.", 1)];
        assert_eq!(parsed(TaskId::Rte, usual).unwrap(), expected);
        assert_eq!(parsed(TaskId::Rte, moved).unwrap(), expected);
    }

    #[test]
    fn a_file_without_header_is_read_by_position() {
        let examples = parsed(TaskId::Cola, b"gj04\t1\t\tIt rains.\nks08\t0\t*\tRains it the.").unwrap();
        let label = |index: usize| examples[index].label;
        assert_eq!((label(0), label(1)), (Label::Class(1), Label::Class(0)));
        assert_eq!(examples[1].first, "Rains it the.");
        assert_eq!(examples[1].second, None);
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_no_part_of_the_text() {
        let content = b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t2\t3\tx\ty\r\n\r\n";
        assert_eq!(parsed(TaskId::Mrpc, content).unwrap(), [pair("x", "y", 1)]);
    }

    #[test]
    fn class_indices_follow_the_label_names() {
        let content =
            b"sentence1\tsentence2\tgold_label\na\tb\tcontradiction\na\tb\tentailment\na\tb\tneutral\n";
        let expected = [pair("a", "b", 0), pair("a", "b", 1), pair("a", "b", 2)];
        assert_eq!(parsed(TaskId::Mnli, content).unwrap(), expected);
    }

    #[test]
    fn a_score_is_a_number_from_0_to_5() {
        let content = b"sentence1\tsentence2\tscore\na\tb\t3.800\n";
        assert_eq!(parsed(TaskId::Stsb, content).unwrap()[0].label, Label::Score(3.8));
        for bad in ["5.1", "-1", "NaN", "high", ""] {
            let text =
                message(TaskId::Stsb, format!("sentence1\tsentence2\tscore\na\tb\t{bad}\n").as_bytes());
            assert!(text.starts_with(&format!("some/dev.tsv:2: unknown label \"{bad}\"")), "{text}");
            assert!(text.contains("a number from 0 to 5"), "{text}");
        }
    }

    #[test]
    fn a_missing_column_is_named_with_the_header_found() {
        let text = message(TaskId::Rte, b"index\tsentence1\tsentence2\n0\ta\tb\n");
        assert!(text.starts_with("some/dev.tsv: column \"label\" is missing"), "{text}");
        assert!(text.contains("the header has: \"index\", \"sentence1\", \"sentence2\"."), "{text}");
        let text = message(TaskId::Qnli, b"index\tquestion\tlabel\n0\ta\tentailment\n");
        assert!(text.contains("column \"sentence\" is missing"), "{text}");
    }

    #[test]
    fn an_unknown_label_is_named_with_its_line_and_the_labels_allowed() {
        let text = message(TaskId::Rte, b"sentence1\tsentence2\tlabel\na\tb\tentailment\na\tb\tmaybe\n");
        assert!(text.starts_with("some/dev.tsv:3: unknown label \"maybe\""), "{text}");
        assert!(text.contains("\"entailment\", \"not_entailment\""), "{text}");
    }

    #[test]
    fn invalid_utf8_is_named_with_its_line() {
        let text = message(TaskId::Sst2, b"sentence\tlabel\nfine\t1\nb\xffd\t0\n");
        assert!(text.starts_with("some/dev.tsv:3: invalid UTF-8 at byte 2"), "{text}");
        let text = message(TaskId::Sst2, b"sent\xe9nce\tlabel\nfine\t1\n");
        assert!(text.starts_with("some/dev.tsv:1: invalid UTF-8"), "{text}");
    }

    #[test]
    fn a_short_row_is_named_with_its_line() {
        let text =
            message(TaskId::Rte, b"index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\ta\tb\n");
        assert!(text.starts_with("some/dev.tsv:3: the row has 3 columns, 4 are expected"), "{text}");
        let text = message(TaskId::Cola, b"gj04\t1\tIt rains.\n");
        assert!(text.starts_with("some/dev.tsv:1: the row has 3 columns, 4 are expected"), "{text}");
    }

    #[test]
    fn a_file_without_rows_is_an_error() {
        for content in [&b""[..], b"\n", b"\xef\xbb\xbf", b"index\tsentence1\tsentence2\tlabel\n"] {
            assert!(message(TaskId::Rte, content).starts_with("some/dev.tsv: no rows."));
        }
        assert!(message(TaskId::Cola, b"").contains("no rows"));
    }

    #[test]
    fn the_few_broken_rows_of_qqp_are_left_out_and_many_are_an_error() {
        let header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n";
        let file =
            |good: usize| format!("{header}7\t1\t2\tbroken\nrest\t1\n{}", "1\t2\t3\ta\tb\t0\n".repeat(good));
        assert_eq!(parsed(TaskId::Qqp, file(200).as_bytes()).unwrap().len(), 200);
        assert!(
            message(TaskId::Qqp, file(199).as_bytes()).starts_with("some/dev.tsv:2: the row has 4 columns")
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.tsv");
        let error = read_tsv(TaskId::Rte.spec(), &path).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with(&format!("cannot read {}", path.display())), "{error}");
    }
}
