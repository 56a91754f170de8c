//! Encoded examples with their labels, ready to be packed.

use super::{
    answers::Questioned,
    masked::{Draw, Masked},
};
use crate::{
    engine::Goal,
    model::Input,
    ops::{
        loss::Targets,
        rng::{Purpose, Stream},
    },
    task::Label,
    text::{Batch, Encoded, Masking},
};
use std::sync::Arc;

/// Encoded examples and their labels, in file order. An example is a sequence; where sequences are windows of questions, it
/// is a question.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    pub encoded: Vec<Encoded>,
    pub labels: Vec<Label>,
    /// What the sequences are windows of.
    pub questioned: Option<Questioned>,
    /// How words are hidden that are to be found; then no label is known.
    pub masking: Option<Arc<Masking>>,
}

/// What one batch is to be learnt from, as the losses take it.
pub enum BatchLabels {
    Classes(Vec<u32>),
    Scores(Vec<f32>),
    Spans { offsets: Vec<usize>, starts: Vec<u32>, ends: Vec<u32> },
    Words { rows: Vec<usize>, words: Vec<u32> },
}

impl BatchLabels {
    pub fn goal(&self) -> Goal<'_> {
        Goal::Labels(match self {
            Self::Classes(classes) => Targets::Classes(classes),
            Self::Scores(scores) => Targets::Scores(scores),
            Self::Spans { offsets, starts, ends } => Targets::Spans { offsets, starts, ends },
            Self::Words { rows, words } => return Goal::MaskedTokens { rows, words },
        })
    }
}

impl Dataset {
    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of examples.
    pub fn examples(&self) -> usize {
        self.questioned.as_ref().map_or(self.len(), |questioned| questioned.questions().count())
    }

    pub fn tokens(&self) -> usize {
        self.encoded.iter().map(|e| e.ids.len()).sum()
    }

    /// The number of sequences with exactly this many tokens.
    pub fn of_length(&self, tokens: usize) -> usize {
        self.encoded.iter().filter(|e| e.ids.len() == tokens).count()
    }

    /// The sequences at `indices`, in that order.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            encoded: indices.iter().map(|i| self.encoded[*i].clone()).collect(),
            labels: indices.iter().map(|i| self.labels[*i]).collect(),
            questioned: self.questioned.as_ref().map(|questioned| questioned.subset(indices)),
            masking: self.masking.clone(),
        }
    }

    /// The indices of the sequences of `n` randomly chosen examples, and of the rest, both in file order.
    pub fn choose(&self, n: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.examples()).collect();
        Stream::new(seed, Purpose::Split, 0).shuffle(&mut order);
        let (mut chosen, mut rest) = (order[..n].to_vec(), order[n..].to_vec());
        chosen.sort_unstable();
        rest.sort_unstable();
        match &self.questioned {
            None => (chosen, rest),
            Some(questioned) => (questioned.sequences_of(&chosen), questioned.sequences_of(&rest)),
        }
    }

    /// How many words of a sequence are hidden; none where none is to be found.
    pub fn hidden(&self, index: usize) -> usize {
        self.masking.as_ref().map_or(0, |masking| masking.hidden(&self.encoded[index].ids))
    }

    /// With the masks of scoring.
    pub fn batch(&self, indices: &[usize]) -> (Batch, BatchLabels) {
        self.batch_masked(indices, Draw::SCORING)
    }

    pub fn batch_masked(&self, indices: &[usize], draw: Draw) -> (Batch, BatchLabels) {
        if let Some(masking) = &self.masking {
            let Masked { batch, rows, words } = Masked::new(&self.encoded, indices, masking, draw);
            return (batch, BatchLabels::Words { rows, words });
        }
        let batch = Batch::pack(&self.encoded, indices);
        let labels = || indices.iter().map(|i| self.labels[*i]);
        let labels = match labels().next() {
            Some(Label::Score(_) | Label::Unknown) => {
                BatchLabels::Scores(labels().map(Label::value).collect())
            }
            Some(Label::Span(_)) => {
                let (starts, ends) =
                    labels().filter_map(Label::span).map(|[start, end]| (start, end)).unzip();
                BatchLabels::Spans { offsets: batch.offsets.clone(), starts, ends }
            }
            Some(Label::Class(_)) | None => BatchLabels::Classes(labels().filter_map(Label::class).collect()),
        };
        (batch, labels)
    }
}

/// A packed batch as the model's input.
pub fn input(batch: &Batch) -> Input<'_> {
    Input { ids: &batch.ids, positions: &batch.positions, segments: &batch.segments, offsets: &batch.offsets }
}
