//! Encoded examples with their labels, ready to be packed.

use crate::{
    model::Input,
    ops::{
        loss::Targets,
        rng::{Purpose, Stream},
    },
    task::Label,
    text::{Batch, Encoded},
};

/// Encoded examples and their labels, in file order.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    pub encoded: Vec<Encoded>,
    pub labels: Vec<Label>,
}

/// The labels of one batch, as the losses take them.
pub enum BatchLabels {
    Classes(Vec<u32>),
    Scores(Vec<f32>),
}

impl BatchLabels {
    pub fn targets(&self) -> Targets<'_> {
        match self {
            Self::Classes(classes) => Targets::Classes(classes),
            Self::Scores(scores) => Targets::Scores(scores),
        }
    }
}

impl Dataset {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub fn tokens(&self) -> usize {
        self.encoded.iter().map(|e| e.ids.len()).sum()
    }

    /// The number of examples with exactly this many tokens.
    pub fn of_length(&self, tokens: usize) -> usize {
        self.encoded.iter().filter(|e| e.ids.len() == tokens).count()
    }

    /// The examples at `indices`, in that order.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            encoded: indices.iter().map(|i| self.encoded[*i].clone()).collect(),
            labels: indices.iter().map(|i| self.labels[*i]).collect(),
        }
    }

    /// The indices of `n` randomly chosen examples, and of the rest, both in file order.
    pub fn choose(&self, n: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        Stream::new(seed, Purpose::Split, 0).shuffle(&mut order);
        let (mut chosen, mut rest) = (order[..n].to_vec(), order[n..].to_vec());
        chosen.sort_unstable();
        rest.sort_unstable();
        (chosen, rest)
    }

    pub fn batch(&self, indices: &[usize]) -> (Batch, BatchLabels) {
        let classes: Vec<u32> = indices.iter().filter_map(|i| self.labels[*i].class()).collect();
        let labels = if classes.len() == indices.len() {
            BatchLabels::Classes(classes)
        } else {
            BatchLabels::Scores(indices.iter().map(|i| self.labels[*i].value()).collect())
        };
        (Batch::pack(&self.encoded, indices), labels)
    }
}

/// A packed batch as the model's input.
pub fn input(batch: &Batch) -> Input<'_> {
    Input { ids: &batch.ids, positions: &batch.positions, segments: &batch.segments, offsets: &batch.offsets }
}
