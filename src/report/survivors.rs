//! Which units survive: over seeds, over tasks, and in two tasks at once.

use super::{
    group::Mean,
    statistics::{deviation, mean},
};

/// A number for each unit: its mean and its standard deviation (n − 1; 0 of one) over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Survival {
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
}

/// How often each unit is kept. `tasks` has for each task the masks of the same seeds in the same order; of one task it is the
/// share of seeds that keep the unit, of several the number of tasks that do, over seeds (Prasanna et al. 2020, Figure 3).
/// None where masks are of different lengths or numbers.
pub fn survival(tasks: &[Vec<Vec<bool>>]) -> Option<Survival> {
    let first = tasks.first()?;
    let units = first.first()?.len();
    let is_same =
        |masks: &Vec<Vec<bool>>| masks.len() == first.len() && masks.iter().all(|mask| mask.len() == units);
    if units == 0 || !tasks.iter().all(is_same) {
        return None;
    }
    let of_unit = |unit: usize| -> Vec<f64> {
        let count = |seed: usize| tasks.iter().filter(|masks| masks[seed][unit]).count() as f64;
        (0..first.len()).map(count).collect()
    };
    let counts: Vec<Vec<f64>> = (0..units).map(of_unit).collect();
    Some(Survival {
        mean: counts.iter().map(|counts| mean(counts)).collect(),
        deviation: counts.iter().map(|counts| deviation(counts).unwrap_or(0.0)).collect(),
    })
}

impl Survival {
    /// The mean over units of means and of deviations, and how many units survive more than `often` on average.
    pub fn summary(&self, often: f64) -> (f64, f64, usize) {
        (mean(&self.mean), mean(&self.deviation), self.mean.iter().filter(|mean| **mean > often).count())
    }
}

/// How many units two tasks both keep, over seeds in the same order.
pub fn shared(a: &[Vec<bool>], b: &[Vec<bool>]) -> Option<Mean> {
    let both = |(a, b): (&Vec<bool>, &Vec<bool>)| a.iter().zip(b).filter(|(a, b)| **a && **b).count() as f64;
    Mean::of(&a.iter().zip(b).map(both).collect::<Vec<_>>())
}
