//! Ablations on a model's weights, one after the other.

use super::{Condition, How, Part};
use crate::{
    model::Bert,
    ops::rng::{Purpose, Stream},
};
use std::ops::Range;

/// A copy of the fine-tuned model that one condition after the other changes.
pub struct Change<'a> {
    finetuned: &'a Bert,
    /// The model before fine-tuning, laid out alike.
    pretrained: &'a Bert,
    seed: u64,
    changed: Bert,
}

/// Where a part's tensors lie.
struct Place {
    /// Tells the streams of random numbers apart.
    name: String,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl<'a> Change<'a> {
    /// Both models have all units. `seed` draws what is random: the same numbers for a tensor in every condition.
    pub fn new(finetuned: &'a Bert, pretrained: &'a Bert, seed: u64) -> Self {
        Self { finetuned, pretrained, seed, changed: finetuned.clone() }
    }

    /// The fine-tuned model, changed by this condition alone, which must have been checked.
    pub fn by(&mut self, condition: &Condition) -> &Bert {
        self.changed.params.data.copy_from_slice(&self.finetuned.params.data);
        let places = self.places(condition);
        match condition.how {
            How::PruneSmallest(share) => self.prune(&places, share, f32::abs),
            How::PruneRandom(share) => {
                let mut stream = Stream::with(self.seed, Purpose::Initialisation, 0, 2);
                self.prune(&places, share, |_| stream.uniform() as f32);
            }
            how => places.iter().for_each(|place| self.change(place, how)),
        }
        &self.changed
    }

    fn change(&mut self, place: &Place, how: How) {
        let Place { weight, bias, .. } = place;
        let (data, before) = (&mut self.changed.params.data, &self.pretrained.params.data);
        match how {
            How::Randomise | How::Reset => {
                let hash = blake3::hash(place.name.as_bytes());
                let index = u32::from_le_bytes([0, 1, 2, 3].map(|i| hash.as_bytes()[i]));
                let mut stream = Stream::with(self.seed, Purpose::Initialisation, index, 1);
                let deviation = self.finetuned.config.initializer_range;
                data[weight.clone()].iter_mut().for_each(|w| *w = (stream.normal() * deviation) as f32);
                if how == How::Reset {
                    data[bias.clone()].fill(0.0);
                }
            }
            How::Revert => {
                for range in [weight, bias] {
                    data[range.clone()].copy_from_slice(&before[range.clone()]);
                }
            }
            How::Rotate => {
                let row = self.finetuned.config.hidden_size.min(weight.len());
                data[weight.clone()].copy_from_slice(&before[weight.clone()]);
                data[weight.clone()].rotate_right(row);
            }
            How::Zero => data[weight.clone()].fill(0.0),
            How::PruneSmallest(_) | How::PruneRandom(_) => {}
        }
    }

    /// Zeros in the place of round(share · n) of the n numbers, those of the lowest rank, equal ones in order.
    fn prune(&mut self, places: &[Place], share: f64, mut rank: impl FnMut(f32) -> f32) {
        let all = || places.iter().flat_map(|place| place.weight.clone().chain(place.bias.clone()));
        let data = &mut self.changed.params.data;
        let ranks: Vec<f32> = all().map(|at| rank(data[at])).collect();
        let count = (share * ranks.len() as f64).round() as usize;
        if count == 0 {
            return;
        }
        let mut sorted = ranks.clone();
        let (below, last, _) = sorted.select_nth_unstable_by(count - 1, f32::total_cmp);
        let mut equal = count - below.iter().filter(|rank| **rank < *last).count();
        for (at, rank) in all().zip(ranks) {
            let is_taken = rank < *last || rank == *last && equal > 0;
            equal -= usize::from(is_taken && rank == *last);
            data[at] = if is_taken { 0.0 } else { data[at] };
        }
    }

    fn places(&self, condition: &Condition) -> Vec<Place> {
        let all: Vec<usize> = (0..self.finetuned.shape.len()).collect();
        let layers = if condition.layers.is_empty() { &all } else { &condition.layers };
        let of = |part: &Part| match part {
            Part::WordEmbeddings => vec![self.place(*part, 0)],
            part => layers.iter().map(|layer| self.place(*part, *layer)).collect(),
        };
        condition.parts.iter().flat_map(of).collect()
    }

    fn place(&self, part: Part, layer: usize) -> Place {
        let layout = &self.finetuned.params.layout;
        let slots = &layout.layers[layer];
        let third = |n: usize, slot: &Range<usize>| {
            let len = slot.len() / 3;
            slot.start + n * len..slot.start + (n + 1) * len
        };
        let of_qkv = |n| (third(n, &slots.qkv_weight), third(n, &slots.qkv_bias));
        let (weight, bias) = match part {
            Part::WordEmbeddings => (layout.words.clone(), 0..0),
            Part::Query => of_qkv(0),
            Part::Key => of_qkv(1),
            Part::Value => of_qkv(2),
            Part::AttentionOutput => (slots.output_weight.clone(), slots.output_bias.clone()),
            Part::Intermediate => (slots.up_weight.clone(), slots.up_bias.clone()),
            Part::Output => (slots.down_weight.clone(), slots.down_bias.clone()),
        };
        Place { name: format!("{part} {layer}"), weight, bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Head, tiny, weights::Pretrained};

    const HEAD: Head = Head::Classifier { labels: 2 };

    /// The model inside the program, and one of its shape in which every number differs.
    fn models() -> (Bert, Bert) {
        let mut model = Pretrained::load(&tiny::folder().unwrap()).unwrap();
        let pretrained = model.build(HEAD, 1, true).unwrap();
        let mut finetuned = pretrained.clone();
        for entry in &pretrained.params.layout.entries {
            finetuned.params.data[entry.range.clone()].iter_mut().for_each(|w| *w += 0.5);
        }
        (finetuned, pretrained)
    }

    /// The names of the tensors that a condition changes, and the changed model.
    fn changed(condition: &str) -> (Vec<String>, Bert) {
        let (finetuned, pretrained) = models();
        let mut change = Change::new(&finetuned, &pretrained, 3);
        change.by(&"reset:layer".parse().unwrap());
        let after = change.by(&condition.parse().unwrap()).clone();
        let entries = finetuned.params.layout.entries.iter();
        let differs =
            |range: &Range<usize>| finetuned.params.data[range.clone()] != after.params.data[range.clone()];
        let names = entries.filter(|entry| differs(&entry.range)).map(|entry| entry.name.clone());
        (names.map(|name| name.replace("bert.encoder.layer.", "")).collect(), after)
    }

    #[test]
    fn each_condition_changes_its_own_tensors_and_no_others() {
        let fc = ["attention.output.dense", "intermediate.dense", "output.dense"];
        let of = |layer: usize, parts: &[&str], kinds: &[&str]| -> Vec<String> {
            let both = |part: &&str| {
                kinds.iter().map(move |kind| format!("{layer}.{part}.{kind}")).collect::<Vec<_>>()
            };
            parts.iter().flat_map(both).collect()
        };
        let (weight, both) = (&["weight"][..], &["weight", "bias"][..]);
        let mut qkv_of_two = of(1, &["attention.self.query"], weight);
        qkv_of_two.extend(of(2, &["attention.self.query"], weight));
        for (condition, mut expected) in [
            ("randomise:word-embeddings", vec!["bert.embeddings.word_embeddings.weight".to_owned()]),
            ("rotate:word-embeddings", vec!["bert.embeddings.word_embeddings.weight".to_owned()]),
            ("randomise:query@1+2", qkv_of_two),
            ("revert:key+value@0", of(0, &["attention.self.key", "attention.self.value"], both)),
            ("zero:value@3", of(3, &["attention.self.value"], weight)),
            ("reset:fc@2", of(2, &fc, both)),
        ] {
            let (mut found, _) = changed(condition);
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{condition}");
        }
    }

    #[test]
    fn values_are_drawn_reverted_rotated_and_zeroed() {
        let (finetuned, pretrained) = models();
        let at = |bert: &Bert, name: &str| bert.params.named(name).unwrap().1.to_vec();
        let value = "bert.encoder.layer.1.attention.self.value.weight";
        let (_, random) = changed("randomise:value@1");
        let drawn = at(&random, value);
        let deviation =
            (drawn.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / drawn.len() as f64).sqrt();
        assert!((deviation / finetuned.config.initializer_range - 1.0).abs() < 0.02, "{deviation}");
        // The same numbers in every condition.
        assert_eq!(drawn, at(&changed("reset:layer").1, value));
        assert_eq!(at(&changed("revert:value@1").1, value), at(&pretrained, value));
        assert!(at(&changed("zero:value").1, value).iter().all(|w| *w == 0.0));
        let words = "bert.embeddings.word_embeddings.weight";
        let (before, rotated) = (at(&pretrained, words), at(&changed("rotate:word-embeddings").1, words));
        let h = finetuned.config.hidden_size;
        assert_eq!(
            (&rotated[..h], &rotated[h..]),
            (&before[before.len() - h..], &before[..before.len() - h])
        );
    }

    #[test]
    fn so_many_of_the_smallest_or_of_any_numbers_become_zero() {
        let (finetuned, _) = models();
        let zeros = |condition: &str| -> Vec<f32> {
            let (_, after) = changed(condition);
            let pairs = finetuned.params.data.iter().zip(&after.params.data);
            pairs.filter(|(before, after)| **before != 0.0 && **after == 0.0).map(|(w, _)| w.abs()).collect()
        };
        let layer = &finetuned.params.layout.layers[0];
        let total = 3 * layer.output_weight.len()
            + layer.qkv_bias.len()
            + layer.output_weight.len()
            + layer.output_bias.len()
            + layer.up_weight.len()
            + layer.up_bias.len()
            + layer.down_weight.len()
            + layer.down_bias.len();
        let (smallest, random) = (zeros("prune-smallest=0.2:layer@0"), zeros("prune-random=0.2:layer@0"));
        let count = (0.2 * total as f64).round() as usize;
        assert_eq!((smallest.len(), random.len()), (count, count));
        let largest = |of: &[f32]| of.iter().copied().fold(0.0, f32::max);
        assert!(largest(&smallest) < largest(&random));
        assert!(zeros("prune-smallest=0:layer").is_empty());
    }
}
