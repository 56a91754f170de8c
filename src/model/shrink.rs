//! Physical removal of units: a removed head, FFN or FFN neuron has no weights, no arithmetic and no optimizer state.
//!
//! What stays is what a gate of 0 leaves: the attention output's bias even when no head is left, that of the FFN's output
//! when no neuron is, the residual and both LayerNorms. (The published code drops the attention's bias: see
//! docs/reproducibility.md.) An FFN that is removed as a whole leaves none of its biases.

use super::{
    bert::Bert,
    params::{Entry, Owner},
    shape::LayerShape,
};
use std::ops::Range;

impl Bert {
    /// A copy that has only the units of `shape`, each of which must be present.
    pub fn shrunk(&self, shape: &[LayerShape]) -> Self {
        let mut small = Self::zeros(self.config.clone(), shape.to_vec(), self.head);
        for entry in small.params.layout.entries.clone() {
            let source = self.entry(&entry.name).expect("a shrunk model's tensors exist in the whole one");
            for (from, to) in kept_ranges((self, source), (&small, &entry)) {
                small.params.data[to].copy_from_slice(&self.params.data[from]);
            }
        }
        small
    }

    /// A copy of the unpruned size that computes the same: zeros in the place of the units that are not there. Without a
    /// query, key and value a head's context is 0; without weights and biases a neuron's GELU is.
    pub fn expanded(&self) -> Self {
        let mut whole = Self::zeros(self.config.clone(), self.config.full_shape(), self.head);
        for entry in &self.params.layout.entries {
            let target = whole.entry(&entry.name).expect("the whole model has every tensor").clone();
            for (to, from) in kept_ranges((&whole, &target), (self, entry)) {
                whole.params.data[to].copy_from_slice(&self.params.data[from]);
            }
        }
        whole
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.params.layout.entries.iter().find(|entry| entry.name == name)
    }
}

/// Where the elements of a smaller model's tensor lie in the larger one's data, and in its own.
fn kept_ranges(large: (&Bert, &Entry), small: (&Bert, &Entry)) -> Vec<(Range<usize>, Range<usize>)> {
    let ((whole, from), (part, to)) = (large, small);
    let f = whole.config.intermediate_size;
    let (places, width, columns) = match to.owner {
        Owner::Heads { layer: l, columns } => {
            (places(&whole.shape[l].heads, &part.shape[l].heads), whole.config.head_size(), columns)
        }
        Owner::Neurons { layer: l, columns } => {
            let [present, kept] = [whole, part].map(|bert| bert.shape[l].ffn.neurons(f));
            (places(&present, &kept), 1, columns)
        }
        Owner::Model | Owner::Layer(_) => return vec![(from.range.clone(), to.range.clone())],
    };
    // A unit owns columns of the weight behind it, (H, A) or (H, F), else rows of (A, H) and (F, H) weights and of biases.
    let (rows, from_row, to_row, unit) = if columns {
        (to.shape[0], from.shape[1], to.shape[1], width)
    } else {
        (1, from.range.len(), to.range.len(), width * to.shape.get(1).copied().unwrap_or(1))
    };
    let runs = joined(&places);
    let of_row = |row: usize| {
        let (from, to) = (from.range.start + row * from_row, to.range.start + row * to_row);
        runs.iter().map(move |(place, at, count)| {
            let (from, to, len) = (from + place * unit, to + at * unit, count * unit);
            (from..from + len, to..to + len)
        })
    };
    (0..rows).flat_map(of_row).collect()
}

/// Where the kept units stand among the present ones; both by their ascending numbers in the unpruned layer.
fn places(present: &[usize], kept: &[usize]) -> Vec<usize> {
    kept.iter().map(|unit| present.binary_search(unit).expect("the unit is present")).collect()
}

/// Neighbours as one: (place of the first, its index, how many).
fn joined(places: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (index, place) in places.iter().enumerate() {
        match runs.last_mut() {
            Some((first, _, count)) if *first + *count == *place => *count += 1,
            _ => runs.push((*place, index, 1)),
        }
    }
    runs
}
