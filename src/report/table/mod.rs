//! Tables: typed cells, which formats for people join and round, and formats for programs keep.

mod data;
mod latex;
mod markdown;

pub use data::{csv, json, parquet};
pub use latex::latex;
pub use markdown::markdown;

/// A table of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// For `--table` and file names.
    pub name: &'static str,
    /// One sentence: what the numbers are, with their units.
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// What a reader has to know of the numbers.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    Count(i64),
    Number(f64),
    Flag(bool),
}

/// How a column's cells are written for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    Count,
    /// With so many decimals.
    Decimals(usize),
    /// The same, with its sign.
    Signed(usize),
    /// A share as per cent, with so many decimals.
    Percent(usize),
    /// A probability.
    P,
    Flag,
}

/// How a column is joined to the one before it, in formats for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// ` ± `
    Deviation,
    /// `/`
    Total,
    /// The ends of an interval in brackets.
    Low,
    High,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// For programs.
    pub key: &'static str,
    /// For people; empty where it is joined.
    pub title: &'static str,
    pub shape: Shape,
    pub join: Option<Join>,
    /// For programs alone.
    pub hidden: bool,
    /// For people the first to be left out where the table is too wide.
    pub extra: bool,
}

impl Column {
    pub fn new(key: &'static str, title: &'static str, shape: Shape) -> Self {
        Self { key, title, shape, join: None, hidden: false, extra: false }
    }

    pub fn joined(key: &'static str, shape: Shape, join: Join) -> Self {
        Self { join: Some(join), ..Self::new(key, "", shape) }
    }

    pub fn extra(self) -> Self {
        Self { extra: true, ..self }
    }

    pub fn hidden(key: &'static str, shape: Shape) -> Self {
        Self { hidden: true, ..Self::new(key, "", shape) }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count as i64)
    }
}

impl From<f64> for Cell {
    /// What is not finite is no number.
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Empty }
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    /// For people; empty where there is nothing.
    pub fn text(&self, shape: Shape) -> String {
        match (self, shape) {
            (Self::Empty, _) => String::new(),
            (Self::Text(text), _) => text.clone(),
            (Self::Count(count), _) => count.to_string(),
            (Self::Flag(flag), _) => if *flag { "yes" } else { "no" }.to_owned(),
            (Self::Number(number), Shape::Decimals(n)) => format!("{number:.n$}"),
            (Self::Number(number), Shape::Signed(n)) => format!("{number:+.n$}"),
            (Self::Number(share), Shape::Percent(n)) => format!("{:.n$} %", 100.0 * share),
            (Self::Number(p), Shape::P) => p_value(*p),
            // A mean of counts.
            (Self::Number(number), _) if number.fract() == 0.0 => format!("{number}"),
            (Self::Number(number), _) => format!("{number:.1}"),
        }
    }
}

/// `0.031`, `< 0.001`
fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

impl Table {
    /// The columns that people see, and the cells of all rows as text: joined, and a deviation with its mean.
    pub fn shown(&self) -> (Vec<&Column>, Vec<Vec<String>>) {
        let heads: Vec<&Column> = self.columns.iter().filter(|c| c.join.is_none() && !c.hidden).collect();
        let rows = self.rows.iter().map(|row| {
            let mut shown: Vec<String> = Vec::new();
            for (cell, column) in row.iter().zip(&self.columns).filter(|(_, column)| !column.hidden) {
                let text = cell.text(column.shape);
                match (column.join, shown.last_mut().filter(|_| !text.is_empty())) {
                    (None, _) => shown.push(text),
                    (Some(join), Some(last)) => {
                        *last = match join {
                            // `81.0 % ± 1.2 %` says its unit once.
                            Join::Deviation => format!("{} ± {text}", last.trim_end_matches(" %")),
                            Join::Total => format!("{last}/{text}"),
                            Join::Low => format!("{last} [{text}"),
                            Join::High => format!("{last}, {text}]"),
                        }
                    }
                    (Some(_), None) => {}
                }
            }
            shown.into_iter().map(|text| text.trim_start().to_owned()).collect()
        });
        (heads, rows.collect())
    }

    /// Whether people read the column as numbers.
    pub fn is_number(column: &Column) -> bool {
        !matches!(column.shape, Shape::Text | Shape::Flag)
    }

    /// Leaves out, for people, columns in which nothing stands.
    pub fn without_empty(mut self) -> Self {
        for at in 0..self.columns.len() {
            let nothing = |row: &Vec<Cell>| match &row[at] {
                Cell::Empty => true,
                Cell::Text(text) => text.is_empty(),
                _ => false,
            };
            let empty = self.rows.iter().all(nothing);
            self.columns[at].hidden |= empty && self.columns[at].join.is_none();
        }
        self
    }
}

#[cfg(test)]
mod tests;
