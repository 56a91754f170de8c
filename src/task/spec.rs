//! What distinguishes one task from another: files, columns, labels and metrics.

use super::{FileFormat, MetricId, TaskId};

/// Where a file keeps the texts and the label of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Columns are found by these names, wherever they stand.
    Named { first: &'static str, second: Option<&'static str>, label: &'static str },
    /// No header: zero-based positions in rows of `width` columns.
    Headerless { first: usize, second: Option<usize>, label: usize, width: usize },
}

impl Columns {
    /// The names of the columns that a file needs; none without a header.
    pub fn needed(&self, with_label: bool) -> Vec<&'static str> {
        match *self {
            Self::Named { first, second, label } => {
                [first].into_iter().chain(second).chain(with_label.then_some(label)).collect()
            }
            Self::Headerless { .. } => Vec::new(),
        }
    }
}

/// What the labels of a task are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels {
    /// Names; the position is the class index. Of GLUE's tasks, as its TSV files write them, in the order of its
    /// processors.
    Classes(&'static [&'static str]),
    /// A score in this range, ends included, learnt by regression.
    Score { low: f32, high: f32 },
    /// A span of the second text: SQuAD, whose files [`super::squad`] reads.
    Spans,
    /// The hidden words of running text, which is no table.
    Words,
}

/// A name of a file without its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stem {
    pub name: &'static str,
    /// The usual ending, for messages.
    pub ending: &'static str,
    /// Only the rows with this value in this column belong to the split.
    pub only: Option<(&'static str, &'static str)>,
}

/// The files of a split, below the task's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The first of these that is there, with any ending, whole or in shards as on the hub.
    Any(&'static [Stem]),
    /// All of these files, in order.
    All(&'static [&'static str]),
}

/// Everything that distinguishes one task from another.
#[derive(Debug, PartialEq)]
pub struct TaskSpec {
    pub id: TaskId,
    /// The short name, `rte`.
    pub name: &'static str,
    /// One line for help.
    pub about: &'static str,
    /// The folder in the classic GLUE layout, `RTE`.
    pub folder: &'static str,
    /// Other folders that may hold the files: the hub's configurations, the publishers' archives.
    pub other_folders: &'static [&'static str],
    pub columns: Columns,
    /// Other names of the columns, as on the hub; the first that a file has all of count.
    pub other_columns: &'static [Columns],
    /// Names of the column that identifies an example, of which a file may have one.
    pub index: &'static [&'static str],
    pub labels: Labels,
    /// Other spellings of labels in files, and the names that they stand for.
    pub spellings: &'static [(&'static str, &'static str)],
    /// What whole numbers stand for in the data set on the hub, whose order is not that of `labels`. Empty if it is not
    /// known.
    pub hub_labels: &'static [&'static str],
    /// Whether rows on whose label the annotators did not agree (`-`, on the hub −1) are skipped.
    pub skips_unlabelled: bool,
    /// The deciding metric: the one that the 90 % rule and the tables use.
    pub metric: MetricId,
    /// Every metric that is reported, the deciding one included.
    pub metrics: &'static [MetricId],
    /// Nothing for an evaluation set.
    pub train: Split,
    /// The labelled evaluation sets; MNLI has a second, mismatched one.
    pub dev: &'static [Split],
    /// The official test sets, most of them without labels.
    pub test: &'static [Split],
    /// The format of all files, whatever their endings.
    pub format: Option<FileFormat>,
    /// Whether the official file contains questions broken over two lines, which GLUE's readers skip.
    pub has_broken_rows: bool,
    /// The task whose models this one evaluates, if it has no training data of its own.
    pub evaluates: Option<TaskId>,
    /// The class that stands for those classes of the evaluated model that are none of its own.
    pub otherwise: Option<&'static str>,
}

impl TaskSpec {
    /// Outputs of the head: the number of classes, 1 for a score, 2 for a span's two ends.
    pub fn num_labels(&self) -> usize {
        if self.labels == Labels::Spans { 2 } else { self.label_names().len().max(1) }
    }

    /// The names of the classes; none for a score, a span or hidden words.
    pub fn label_names(&self) -> &'static [&'static str] {
        match self.labels {
            Labels::Classes(names) => names,
            Labels::Score { .. } | Labels::Spans | Labels::Words => &[],
        }
    }

    /// Whether the loss is a squared error instead of a cross-entropy.
    pub fn is_regression(&self) -> bool {
        matches!(self.labels, Labels::Score { .. })
    }

    /// The class with this name, or with a spelling that stands for it.
    pub fn class(&self, word: &str) -> Option<u32> {
        let names = self.label_names();
        let find = |word: &str| names.iter().position(|name| *name == word).map(|at| at as u32);
        find(word).or_else(|| find(self.spellings.iter().find(|(spelling, _)| *spelling == word)?.1))
    }

    /// The ways in which columns may be named, the classic one first.
    pub fn all_columns(&self) -> impl Iterator<Item = Columns> {
        [self.columns].into_iter().chain(self.other_columns.iter().copied())
    }
}

impl Split {
    /// A split that has no file.
    pub const NONE: Self = Self::Any(&[]);

    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The name of its usual file.
    pub fn file(&self) -> String {
        match self {
            Self::Any(stems) => {
                stems.first().map_or_else(String::new, |stem| format!("{}.{}", stem.name, stem.ending))
            }
            Self::All(files) => files.join(", "),
        }
    }
}

/// The stem of a file all of whose rows belong to the split.
pub const fn stem(name: &'static str) -> Stem {
    official(name, "tsv")
}

/// [`stem`] of a file as its publisher calls it.
pub const fn official(name: &'static str, ending: &'static str) -> Stem {
    Stem { name, ending, only: None }
}

/// The rows of one part of a file.
pub const fn part(name: &'static str, column: &'static str, value: &'static str) -> Stem {
    Stem { name, ending: "txt", only: Some((column, value)) }
}
