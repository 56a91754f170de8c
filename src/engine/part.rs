//! One of several tasks that share an encoder, in training.

use crate::{
    model::{Gates, params::Layout},
    ops::optimizer::State,
};
use std::ops::Range;

/// The classifier of a task and the units of its ticket. What is not its own a step leaves as it is to the last bit, weights
/// and the optimizer's state: the other tasks' classifiers, and what is `still`, as the units are that its ticket has not
/// (Liang et al. 2021, algorithm 1; their code lets such units move on by momentum and decay).
#[derive(Clone, Debug)]
pub struct Part {
    /// Its number among the model's classifiers.
    pub classifier: usize,
    /// Of the units of its ticket; `None` where that has all.
    pub gates: Option<Gates>,
    /// Where the weights lie that its steps do not move.
    pub still: Vec<Range<usize>>,
}

impl Part {
    /// What its steps change, and how many steps that has taken: the encoder `of_all` tasks together, its classifier `own`.
    pub(super) fn moving(&self, layout: &Layout, of_all: u32, own: u32) -> [(Range<usize>, u32); 2] {
        let [weight, bias] = &layout.classifiers[self.classifier];
        let encoder = 0..layout.classifiers[0][0].start;
        [(encoder, of_all), (weight.start..bias.end, own)]
    }

    fn values(&self, of: &[f32]) -> Vec<f32> {
        self.still.iter().flat_map(|range| &of[range.clone()]).copied().collect()
    }

    fn put(&self, values: &[f32], to: &mut [f32]) {
        let mut rest = values;
        for range in &self.still {
            let (own, others) = rest.split_at(range.len());
            to[range.clone()].copy_from_slice(own);
            rest = others;
        }
    }
}

/// What a step of a part leaves as it is, within what the step passes over.
pub(super) struct Still {
    weights: Vec<f32>,
    slots: Vec<Vec<f32>>,
}

impl Still {
    pub fn before(part: &Part, weights: &[f32], state: &State) -> Self {
        let slots = state.slots().iter().map(|slot| part.values(&slot.values)).collect();
        Self { weights: part.values(weights), slots }
    }

    pub fn restore(&self, part: &Part, weights: &mut [f32], state: &mut State) {
        part.put(&self.weights, weights);
        for (before, slot) in self.slots.iter().zip(state.slots_mut()) {
            part.put(before, &mut slot.values);
        }
    }
}
