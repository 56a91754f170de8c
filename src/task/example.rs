//! The labelled examples of a task.

use std::collections::BTreeMap;

/// What the model is to predict: a class index into the task's label names, a similarity score, or an answer's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label {
    Class(u32),
    Score(f32),
    /// The first and the last token of an answer in its sequence.
    Span([u32; 2]),
    /// Of a test set, whose labels are not published.
    Unknown,
}

impl Label {
    /// The class, of a classification.
    pub fn class(self) -> Option<u32> {
        match self {
            Self::Class(class) => Some(class),
            Self::Score(_) | Self::Span(_) | Self::Unknown => None,
        }
    }

    /// The place, of span extraction.
    pub fn span(self) -> Option<[u32; 2]> {
        match self {
            Self::Span(place) => Some(place),
            Self::Class(_) | Self::Score(_) | Self::Unknown => None,
        }
    }

    /// The number to be predicted: the score, or the index of the class. NaN if it is unknown or no number.
    pub fn value(self) -> f32 {
        match self {
            Self::Class(class) => class as f32,
            Self::Score(score) => score,
            Self::Span(_) | Self::Unknown => f32::NAN,
        }
    }
}

/// One sentence, or a pair of sentences, with its label. The texts are as the file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub first: String,
    pub second: Option<String>,
    pub label: Label,
}

/// The labelled splits of one task.
#[derive(Clone, Debug)]
pub struct TaskData {
    pub train: Vec<Example>,
    /// The dev split; for MNLI the matched one.
    pub dev: Vec<Example>,
    /// MNLI only.
    pub dev_mismatched: Option<Vec<Example>>,
    /// File name → SHA-256 (hex) of the bytes that were read; of the demo task, split → that of its examples.
    pub sha256: BTreeMap<String, String>,
    /// What a user has to know of how the files were read.
    pub notes: Vec<String>,
}
