//! From rows with named columns, as CSV, JSON lines and Parquet have them, to examples.

use super::{
    Columns, Example, Label, Labels,
    rows::{Rows, Wanted},
};
use crate::error::{Error, Result, excerpt, nearest};
use std::{path::Path, rc::Rc};

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Text(&'a str),
    Whole(i64),
    Real(f64),
    Missing,
    /// A list, a table, a date, …
    Other,
}

/// How errors name a row.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Line,
    Row,
}

/// Positions of the columns that are read, among the file's names.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub first: usize,
    pub second: Option<usize>,
    pub label: Option<usize>,
    pub index: Option<usize>,
    pub only: Option<(usize, &'static str)>,
    /// Whether the first row is none of names.
    pub is_headerless: bool,
}

impl Places {
    /// The first of the task's columns that the file has all of.
    pub fn of(wanted: &Wanted, path: &Path, names: &[&str]) -> Result<Self> {
        let has_all = |columns: &Columns| match columns {
            Columns::Named { .. } => columns.needed(wanted.labels).iter().all(|name| names.contains(name)),
            Columns::Headerless { .. } => false,
        };
        let all: Vec<Columns> = wanted.spec.all_columns().collect();
        let place = |wanted: &str| {
            let mut found = names.iter().enumerate().filter(|(_, name)| **name == wanted);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => Ok(place),
                (Some(_), Some(_)) => Err(Error::data(format!(
                    "{}: the column \"{wanted}\" is there more than once. Remove all but one of them.",
                    path.display()
                ))),
                (None, _) => Err(missing(path, names, &[wanted])),
            }
        };
        match all.iter().find(|columns| has_all(columns)) {
            Some(&Columns::Named { first, second, label }) => {
                let index =
                    wanted.spec.index.iter().find_map(|index| names.iter().position(|name| name == index));
                Ok(Self {
                    first: place(first)?,
                    second: second.map(place).transpose()?,
                    label: wanted.labels.then(|| place(label)).transpose()?,
                    index,
                    only: wanted.only.map(|(name, value)| Ok((place(name)?, value))).transpose()?,
                    is_headerless: false,
                })
            }
            _ => match all.iter().find(|columns| matches!(columns, Columns::Headerless { .. })) {
                Some(&Columns::Headerless { first, second, label, width }) if names.len() >= width => {
                    Ok(Self {
                        first,
                        second,
                        label: wanted.labels.then_some(label),
                        index: None,
                        only: None,
                        is_headerless: true,
                    })
                }
                _ => {
                    let named = all.iter().map(|columns| columns.needed(wanted.labels));
                    let needed: Vec<Vec<&str>> = named.filter(|names| !names.is_empty()).collect();
                    // The hub's names, which are the last, are those of most files in these formats.
                    Err(missing(path, names, needed.last().map_or(&[], |names| names)))
                }
            },
        }
    }
}

fn missing(path: &Path, names: &[&str], needed: &[&str]) -> Error {
    let lacks = needed.iter().find(|name| !names.contains(name)).copied().unwrap_or_default();
    let near = nearest(lacks, names.iter().copied().filter(|name| !needed.contains(name)));
    let near =
        near.map_or_else(String::new, |near| format!(" Is \"{}\" that column? Rename it.", excerpt(near)));
    Error::data(format!(
        "{}: column \"{lacks}\" is missing; there are: {}. The columns {} are needed.{near}",
        path.display(),
        quoted(names),
        quoted(needed),
    ))
}

/// Makes examples of rows.
pub struct Reader<'a> {
    wanted: &'a Wanted<'a>,
    path: &'a Path,
    unit: Unit,
    places: Places,
    names: Rc<[String]>,
    /// What whole numbers in the label's column stand for, as the file itself says.
    class_names: Option<Vec<String>>,
    rows: Rows,
}

impl<'a> Reader<'a> {
    pub fn new(wanted: &'a Wanted<'a>, path: &'a Path, unit: Unit, names: &[&str]) -> Result<Self> {
        let places = Places::of(wanted, path, names)?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { wanted, path, unit, places, names, class_names: None, rows: Rows::default() })
    }

    pub fn with_class_names(mut self, names: Option<Vec<String>>) -> Self {
        self.class_names = names;
        self
    }

    pub fn places(&self) -> Places {
        self.places
    }

    /// The names of the columns.
    pub fn names(&self) -> Rc<[String]> {
        Rc::clone(&self.names)
    }

    /// The next row, whose number is for errors; `cell` has the value of each column.
    pub fn row<'c>(&mut self, number: usize, cell: impl Fn(usize) -> Cell<'c>) -> Result<()> {
        let Places { first, second, label, index, only, .. } = self.places;
        if let Some((place, value)) = only
            && self.text(number, place, cell(place))? != value
        {
            return Ok(());
        }
        let label = match label {
            None => Label::Unknown,
            Some(place) => match self.label(number, cell(place))? {
                Some(label) => label,
                None => {
                    self.rows.skipped += 1;
                    return Ok(());
                }
            },
        };
        let first = self.text(number, first, cell(first))?.to_owned();
        let second =
            second.map(|place| self.text(number, place, cell(place)).map(str::to_owned)).transpose()?;
        let index = index.and_then(|place| match cell(place) {
            Cell::Text(text) => Some(text.to_owned()),
            Cell::Whole(number) => Some(number.to_string()),
            _ => None,
        });
        self.rows.push(Example { first, second, label }, index.as_deref());
        Ok(())
    }

    /// # Errors
    /// Data: there were no rows.
    pub fn finish(self) -> Result<Rows> {
        match self.rows.examples.is_empty() {
            true => Err(Error::data(format!(
                "{}: no rows. The file is empty, has only a header, or was cut off; download it again.",
                self.path.display()
            ))),
            false => Ok(self.rows),
        }
    }

    fn text<'c>(&self, number: usize, place: usize, cell: Cell<'c>) -> Result<&'c str> {
        let column = || excerpt(self.names.get(place).map_or("", String::as_str));
        match cell {
            Cell::Text(text) if text.contains('\0') => Err(self.error(
                number,
                &format!("a NUL character in \"{}\". The file is damaged: download it again.", column()),
            )),
            Cell::Text(text) => Ok(text),
            Cell::Missing => {
                Err(self.error(number, &format!("no text in \"{}\". Add it, or remove the row.", column())))
            }
            _ => Err(self.error(
                number,
                &format!("\"{}\" is not a text. Write it in quotes, or name another column.", column()),
            )),
        }
    }

    /// `None` for a row without a label that is to be skipped.
    fn label(&mut self, number: usize, cell: Cell) -> Result<Option<Label>> {
        if matches!(cell, Cell::Missing | Cell::Text("" | "-" | "-1") | Cell::Whole(-1)) {
            if self.wanted.spec.skips_unlabelled {
                return Ok(None);
            }
            if self.wanted.spec.class("-1").is_none() {
                return Err(self.error(
                    number,
                    "the row has no label: unlabelled test files cannot be used for training or development.",
                ));
            }
        }
        let label = match (self.wanted.spec.labels, cell) {
            (Labels::Score { low, high }, cell) => {
                let score = match cell {
                    Cell::Text(text) => text.trim().parse().ok(),
                    Cell::Whole(number) => Some(number as f32),
                    Cell::Real(number) => Some(number as f32),
                    _ => None,
                };
                score.filter(|score| (low..=high).contains(score)).map(Label::Score)
            }
            (Labels::Classes(_), Cell::Text(word)) => match (self.wanted.spec.class(word), word.parse()) {
                (Some(class), _) => Some(Label::Class(class)),
                (None, Ok(whole)) => self.numbered(whole),
                (None, Err(_)) => None,
            },
            (Labels::Classes(_), Cell::Whole(whole)) => self.numbered(whole),
            (Labels::Classes(_) | Labels::Spans | Labels::Words, _) => None,
        };
        label.map(Some).ok_or_else(|| self.unknown(number, cell))
    }

    /// The class of a whole number, by the names in the file, by the number's own name, or by the hub's order.
    fn numbered(&mut self, whole: i64) -> Option<Label> {
        let spec = self.wanted.spec;
        let at = usize::try_from(whole).ok();
        let class = if let Some(names) = &self.class_names {
            spec.class(names.get(at?)?)
        } else if let Some(class) = spec.class(&whole.to_string()) {
            Some(class)
        } else {
            let class = spec.class(spec.hub_labels.get(at?)?);
            self.rows.assumed_order |= class.is_some();
            class
        };
        class.map(Label::Class)
    }

    fn unknown(&self, number: usize, cell: Cell) -> Error {
        let spec = self.wanted.spec;
        let shown = match cell {
            Cell::Text(text) => excerpt(text),
            Cell::Whole(number) => number.to_string().into(),
            Cell::Real(number) => number.to_string().into(),
            Cell::Missing | Cell::Other => "…".into(),
        };
        let (allowed, is_class) = match spec.labels {
            Labels::Classes(names) => (quoted(names), true),
            Labels::Score { low, high } => (format!("a number from {low} to {high}"), false),
            Labels::Spans | Labels::Words => ("none".to_owned(), false),
        };
        let whole = match cell {
            Cell::Whole(_) => true,
            Cell::Text(text) => text.parse::<i64>().is_ok(),
            _ => false,
        };
        let remedy = match cell {
            _ if is_class && whole && self.class_names.is_some() => {
                "The names that the file states for its numbers are others: it belongs to another task."
            }
            _ if is_class && whole => {
                "The file does not say what numbers stand for: write the names of the labels."
            }
            Cell::Real(_) if is_class => {
                "Write it as a whole number: pandas turns integers into floats if values are missing."
            }
            _ => "Check that the file belongs to this task.",
        };
        self.error(number, &format!("unknown label \"{shown}\"; {} allows {allowed}. {remedy}", spec.name))
    }

    fn error(&self, number: usize, what: &str) -> Error {
        let path = self.path.display();
        Error::data(match self.unit {
            Unit::Line => format!("{path}:{number}: {what}"),
            Unit::Row => format!("{path}, row {number}: {what}"),
        })
    }
}

/// The first of these names, in quotes.
pub fn quoted(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(20).map(|name| format!("\"{}\"", excerpt(name))).collect();
    let more = names.len().saturating_sub(20);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
