//! A share of the training examples: stratified by label, and nested, so that a smaller one is a part of a larger one.

use crate::{
    config::ExperimentConfig,
    ops::rng::{Purpose, Stream},
    task::Label,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Scores are put into so many groups of equal size, by their order.
const QUANTILES: usize = 10;

/// Which share, and the seed that chooses the examples.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fraction {
    share: f64,
    seed: u64,
}

/// What was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    fraction: Fraction,
    /// Ascending.
    pub indices: Vec<usize>,
    /// Examples that there were to choose from.
    pub of: usize,
}

impl Fraction {
    /// `None` where all examples are wanted.
    pub fn new(config: &ExperimentConfig) -> Option<Self> {
        let share = config.data.fraction;
        (share < 1.0).then(|| Self { share, seed: config.data_seed() })
    }

    /// The first examples of an order in which the k-th example of a label, of n, comes at k / n of the whole: any beginning
    /// of it has the labels in their proportions, and one of each where it has room.
    pub fn choose(self, labels: &[Label]) -> Chosen {
        let strata = strata(labels);
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        strata.iter().for_each(|stratum| *sizes.entry(*stratum).or_default() += 1);
        let mut order: Vec<usize> = (0..labels.len()).collect();
        Stream::new(self.seed, Purpose::Fraction, 0).shuffle(&mut order);
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        let place = |example: usize| {
            let (stratum, seen) = (strata[example], seen.entry(strata[example]).or_default());
            *seen += 1;
            ((*seen - 1) as f64 / sizes[&stratum] as f64, example)
        };
        let mut places: Vec<(f64, usize)> = order.into_iter().map(place).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wanted = ((labels.len() as f64 * self.share).round() as usize).max(1);
        let mut indices: Vec<usize> = places.into_iter().take(wanted).map(|(_, example)| example).collect();
        indices.sort_unstable();
        Chosen { fraction: self, indices, of: labels.len() }
    }
}

/// For each example the group that it stands for: its class, or the quantile of its score.
fn strata(labels: &[Label]) -> Vec<usize> {
    let mut by_score: Vec<usize> = (0..labels.len()).collect();
    by_score.sort_by(|a, b| labels[*a].value().total_cmp(&labels[*b].value()));
    let mut strata = vec![0; labels.len()];
    for (rank, example) in by_score.into_iter().enumerate() {
        strata[example] = match labels[example] {
            Label::Class(class) => class as usize,
            Label::Score(_) => rank * QUANTILES / labels.len(),
            Label::Span(_) | Label::Unknown => 0,
        };
    }
    strata
}

impl Chosen {
    /// Leaves only these.
    pub fn keep<T>(&self, all: &mut Vec<T>) {
        let (mut at, mut wanted) = (0.., self.indices.iter().peekable());
        all.retain(|_| at.next().is_some_and(|at: usize| wanted.next_if_eq(&&at).is_some()));
    }

    /// The part of the record that names them, with the BLAKE3 of their numbers in the file, counted from 0, a line each.
    pub fn record(&self) -> Value {
        let Fraction { share, seed } = self.fraction;
        let numbers: String = self.indices.iter().map(|index| format!("{index}\n")).collect();
        let hash = blake3::hash(numbers.as_bytes());
        json!({ "share": share, "seed": seed, "of": self.of, "blake3": hash.to_hex().as_str() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: [f64; 8] = [0.0001, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.99];

    fn classes(sizes: &[usize]) -> Vec<Label> {
        let all = sizes.iter().enumerate().flat_map(|(class, n)| vec![Label::Class(class as u32); *n]);
        all.collect()
    }

    fn chosen(labels: &[Label], share: f64, seed: u64) -> Vec<usize> {
        Fraction { share, seed }.choose(labels).indices
    }

    #[test]
    fn any_share_has_the_labels_in_their_proportions_and_each_of_them_where_there_is_room() {
        for sizes in [&[1241, 1249][..], &[130, 3, 867], &[5000, 1], &[400]] {
            let labels = classes(sizes);
            for (share, seed) in SHARES.into_iter().flat_map(|share| [(share, 1), (share, 2)]) {
                let found = chosen(&labels, share, seed);
                let wanted = ((labels.len() as f64 * share).round() as usize).max(1);
                assert_eq!(found.len(), wanted);
                for (class, size) in sizes.iter().enumerate() {
                    let there = found.iter().filter(|i| labels[**i] == Label::Class(class as u32)).count();
                    let exact = *size as f64 * wanted as f64 / labels.len() as f64;
                    assert!((there as f64 - exact).abs() < sizes.len() as f64, "{there} of {exact}");
                    assert!(there > 0 || wanted < sizes.len(), "{sizes:?} {share}");
                }
            }
        }
    }

    #[test]
    fn a_smaller_share_is_a_part_of_a_larger_one_of_the_same_seed_and_another_seed_chooses_others() {
        let scores: Vec<Label> = (0..1003).map(|i| Label::Score((i * 37 % 101) as f32 / 20.0)).collect();
        for labels in [classes(&[700, 20, 300]), scores, vec![Label::Span([0, 0]); 333]] {
            let nested = SHARES.map(|share| chosen(&labels, share, 5));
            for pair in nested.windows(2) {
                assert!(pair[0].iter().all(|i| pair[1].binary_search(i).is_ok()));
                assert!(pair[1].is_sorted_by(|a, b| a < b));
            }
            assert_ne!(chosen(&labels, 0.1, 5), chosen(&labels, 0.1, 6));
            assert!(chosen(&labels, 1.0, 5).into_iter().eq(0..labels.len()));
        }
    }

    #[test]
    fn scores_keep_their_distribution() {
        let labels: Vec<Label> = (0..2000).map(|i| Label::Score((i * 7919 % 2000) as f32 / 400.0)).collect();
        for share in [0.01, 0.1, 0.5] {
            let found = chosen(&labels, share, 3);
            for decile in 0..10 {
                let within = |i: &&usize| (labels[**i].value() * 2.0) as usize == decile;
                let there = found.iter().filter(within).count() as f64;
                assert!((there - 200.0 * share).abs() <= 1.0, "{decile}: {there} of {}", 200.0 * share);
            }
        }
    }

    #[test]
    fn what_is_kept_is_what_was_chosen_in_file_order() {
        let choice = Fraction { share: 0.2, seed: 4 }.choose(&classes(&[30, 20]));
        let mut all: Vec<usize> = (0..50).collect();
        choice.keep(&mut all);
        assert_eq!(all, choice.indices);
        assert_eq!(choice.record()["of"], 50);
        let other = Fraction { share: 0.2, seed: 5 }.choose(&classes(&[30, 20]));
        assert_ne!(choice.record()["blake3"], other.record()["blake3"]);
    }
}
