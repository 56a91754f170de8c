//! The best level of one-shot pruning, and how much of its gain is selection (Liang et al. 2021, section 4: the super
//! ticket). The paper takes the level with the best development score and reports that score; the best of several noisy
//! scores is above their mean even where no level helps.

use crate::{
    ops::rng::{Purpose, Stream},
    task::{self, Label, TaskSpec},
};
use serde::Serialize;

/// The development predictions of one seed's models.
#[derive(Clone, Debug)]
pub struct Seed {
    pub seed: u64,
    /// Logits of the full model, row by row.
    pub full: Vec<f32>,
    /// Of the retrained winning tickets, by level.
    pub winning: Vec<Vec<f32>>,
    /// Of the retrained random tickets of the same sizes, where all levels have one.
    pub random: Option<Vec<Vec<f32>>>,
}

/// What a choice of the best level gains over the full model, in the task's metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// The level that all development examples choose, as a place among the levels.
    pub best: usize,
    /// Chosen and reported on the same examples: the published rule.
    pub published: f64,
    /// Chosen on one half of the examples and reported on the other, and the other way round, over many halvings.
    pub cross_fitted: f64,
    /// Standard error of the cross-fitted gain over seeds; none of a single one.
    pub standard_error: Option<f64>,
    /// How often each level is chosen by a half, as a share.
    pub chosen: Vec<f64>,
}

/// The gain of the winning tickets, and that of as many random ones by the same rules: what selection alone gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuperTicket {
    pub winning: Gain,
    pub null: Option<Gain>,
}

/// Halvings of the development examples; each is used in both directions.
const HALVINGS: u32 = 50;

/// Of at least one seed and one level.
pub fn super_ticket(task: &TaskSpec, labels: &[Label], seeds: &[Seed]) -> SuperTicket {
    let random: Option<Vec<Seed>> = seeds
        .iter()
        .map(|seed| seed.random.clone().map(|random| Seed { winning: random, ..seed.clone() }))
        .collect();
    SuperTicket { winning: gain(task, labels, seeds), null: random.map(|seeds| gain(task, labels, &seeds)) }
}

fn gain(task: &TaskSpec, labels: &[Label], seeds: &[Seed]) -> Gain {
    let all: Vec<usize> = (0..labels.len()).collect();
    let levels = seeds[0].winning.len();
    let of_all = Scores::on(task, labels, seeds, &all);
    let best = of_all.best();
    let mut chosen = vec![0.0; levels];
    let mut by_seed = vec![0.0; seeds.len()];
    for halving in 0..HALVINGS {
        let mut order = all.clone();
        Stream::with(0, Purpose::Split, halving, 1).shuffle(&mut order);
        let (a, b) = order.split_at(order.len() / 2);
        let [a, b] = [a, b].map(|half| Scores::on(task, labels, seeds, half));
        for (choose, report) in [(&a, &b), (&b, &a)] {
            let level = choose.best();
            chosen[level] += 0.5 / f64::from(HALVINGS);
            for (sum, gains) in by_seed.iter_mut().zip(&report.gains) {
                *sum += 0.5 * gains[level] / f64::from(HALVINGS);
            }
        }
    }
    let n = seeds.len() as f64;
    let cross_fitted = by_seed.iter().sum::<f64>() / n;
    let squares: f64 = by_seed.iter().map(|gain| (gain - cross_fitted).powi(2)).sum();
    Gain {
        best,
        published: of_all.mean(best),
        cross_fitted,
        standard_error: (seeds.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt()),
        chosen,
    }
}

/// Each seed's gain over its full model by level, on some of the examples.
struct Scores {
    gains: Vec<Vec<f64>>,
}

impl Scores {
    fn on(task: &TaskSpec, labels: &[Label], seeds: &[Seed], examples: &[usize]) -> Self {
        let of_examples: Vec<Label> = examples.iter().map(|at| labels[*at]).collect();
        let width = task.num_labels();
        let score = |logits: &Vec<f32>| {
            let rows = examples.iter().flat_map(|at| &logits[at * width..(at + 1) * width]);
            let rows: Vec<f32> = rows.copied().collect();
            task::evaluate(task, &rows, &of_examples)[task.metric.name()]
        };
        let of = |seed: &Seed| {
            let full = score(&seed.full);
            seed.winning.iter().map(|level| score(level) - full).collect()
        };
        Self { gains: seeds.iter().map(of).collect() }
    }

    fn mean(&self, level: usize) -> f64 {
        self.gains.iter().map(|gains| gains[level]).sum::<f64>() / self.gains.len() as f64
    }

    /// The level of the best mean over seeds; of equal ones the first.
    fn best(&self) -> usize {
        let means = (0..self.gains[0].len()).map(|level| self.mean(level));
        let better = |best: (usize, f64), (level, mean)| if mean > best.1 { (level, mean) } else { best };
        means.enumerate().fold((0, f64::NEG_INFINITY), better).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    /// Predictions that are right with this probability, of two classes.
    fn predictions(labels: &[Label], right: f64, stream: &mut Stream) -> Vec<f32> {
        let of = |label: &Label| {
            let class = label.class().unwrap() as usize;
            let class = if stream.uniform() < right { class } else { 1 - class };
            if class == 0 { [1.0, 0.0] } else { [0.0, 1.0] }
        };
        labels.iter().flat_map(of).collect()
    }

    fn seeds(labels: &[Label], levels: &[f64], full: f64, stream: &mut Stream) -> Vec<Seed> {
        (0..5)
            .map(|seed| Seed {
                seed,
                full: predictions(labels, full, stream),
                winning: levels.iter().map(|right| predictions(labels, *right, stream)).collect(),
                random: Some(levels.iter().map(|_| predictions(labels, full, stream)).collect()),
            })
            .collect()
    }

    #[test]
    fn where_no_level_helps_the_published_gain_is_selection_and_the_cross_fitted_one_is_none() {
        let labels: Vec<Label> = (0..300).map(|i| Label::Class(i % 2)).collect();
        let (mut published, mut cross, mut null) = (0.0, 0.0, 0.0);
        for world in 0..40 {
            let stream = &mut Stream::new(9, Purpose::Split, world);
            let seeds = seeds(&labels, &[0.7; 8], 0.7, stream);
            let found = super_ticket(TaskId::Rte.spec(), &labels, &seeds);
            published += found.winning.published / 40.0;
            cross += found.winning.cross_fitted / 40.0;
            null += found.null.unwrap().published / 40.0;
        }
        // The best of eight means of five scores, each with a deviation of 2.6 points, is 1.6 points above their mean.
        assert!(published > 0.01 && null > 0.01, "{published} {null}");
        assert!(cross.abs() < 0.005, "{cross}");
    }

    #[test]
    fn a_level_that_helps_is_found_and_its_gain_is_measured_without_bias() {
        let labels: Vec<Label> = (0..1000).map(|i| Label::Class(i % 2)).collect();
        let stream = &mut Stream::new(4, Purpose::Split, 77);
        let seeds = seeds(&labels, &[0.7, 0.8, 0.6], 0.7, stream);
        let Gain { best, published, cross_fitted, standard_error, chosen } =
            super_ticket(TaskId::Rte.spec(), &labels, &seeds).winning;
        assert_eq!((best, chosen[1] > 0.99), (1, true));
        assert!((published - 0.1).abs() < 0.02 && (cross_fitted - 0.1).abs() < 0.02);
        assert!((0.0..0.02).contains(&standard_error.unwrap()));
    }
}
