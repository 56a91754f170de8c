//! What heads attend to, and which patterns that makes.

mod pattern;

pub use pattern::{Pattern, SHORTEST};

use crate::{
    choice::Choice,
    model::{Bert, HeadMap, Workspace},
    train::{Dataset, input},
};
use serde::{Deserialize, Serialize};

/// How often each head's map has each pattern, over some examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Of the attention itself: by layer and head, the number of examples of each pattern, in the order of [`Pattern::all`].
    pub raw: Vec<Vec<Vec<u32>>>,
    /// Of the attention times the length of what it brings: ‖α f(x)‖ (Kobayashi et al. 2020).
    pub weighted: Vec<Vec<Vec<u32>>>,
}

impl Counts {
    /// None yet, of a model without units removed.
    pub fn of(bert: &Bert) -> Self {
        let (layers, heads) = (bert.config.num_hidden_layers, bert.config.num_attention_heads);
        let none = vec![vec![vec![0; Pattern::all().len()]; heads]; layers];
        Self { raw: none.clone(), weighted: none }
    }

    /// Counts the maps of one example.
    pub fn add(&mut self, bert: &Bert, data: &Dataset, example: usize, workspace: &mut Workspace) {
        let (batch, _) = data.batch(&[example]);
        bert.attention_maps(&input(&batch), workspace, &mut |map| {
            let HeadMap { layer, head, .. } = map;
            for (counts, of) in [(&mut self.raw, &map.probabilities), (&mut self.weighted, &map.weighted())] {
                if let Some(pattern) = Pattern::of(of, &batch.segments) {
                    counts[layer][head][place(pattern)] += 1;
                }
            }
        });
    }
}

/// Where a pattern stands among all.
fn place(pattern: Pattern) -> usize {
    Pattern::all().iter().position(|other| *other == pattern).unwrap_or(0)
}

/// The share of each pattern over the maps of the chosen heads; zeros where there are none.
pub fn shares(counts: &[Vec<Vec<u32>>], is_chosen: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    let mut sums = vec![0.0; Pattern::all().len()];
    for (layer, heads) in counts.iter().enumerate() {
        for (_, counts) in heads.iter().enumerate().filter(|(head, _)| is_chosen(layer, *head)) {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += f64::from(*count));
        }
    }
    let all: f64 = sums.iter().sum();
    sums.into_iter().map(|sum| if all > 0.0 { sum / all } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_over_the_maps_of_the_chosen_heads() {
        let counts = vec![vec![vec![1, 0, 0, 0, 3], vec![0, 4, 0, 0, 0]]];
        assert_eq!(shares(&counts, |_, head| head == 0), [0.25, 0.0, 0.0, 0.0, 0.75]);
        assert_eq!(shares(&counts, |_, _| true), [0.125, 0.5, 0.0, 0.0, 0.375]);
        assert_eq!(shares(&counts, |_, _| false), [0.0; 5]);
        assert_eq!(Pattern::all()[place(Pattern::Block)], Pattern::Block);
    }
}
