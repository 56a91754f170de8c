//! What is read of a file, whatever its format.

use super::{Example, TaskSpec};

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub spec: &'a TaskSpec,
    /// Without this, no column of labels is needed, and examples are [`Label::Unknown`](super::Label::Unknown).
    pub labels: bool,
    /// Only rows with this value in this column.
    pub only: Option<(&'static str, &'static str)>,
}

/// The examples of a file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub examples: Vec<Example>,
    /// What the file calls each example, or its number from 0.
    pub index: Vec<String>,
    /// Rows without a label that were skipped; see [`TaskSpec::skips_unlabelled`].
    pub skipped: usize,
    /// Whether whole numbers were taken for labels in the hub's order, which the file does not state.
    pub assumed_order: bool,
}

impl Rows {
    pub fn push(&mut self, example: Example, index: Option<&str>) {
        self.index.push(index.map_or_else(|| self.examples.len().to_string(), str::to_owned));
        self.examples.push(example);
    }
}
