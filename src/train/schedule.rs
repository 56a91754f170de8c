//! The learning rate over a run, as a multiplier of its peak.

use crate::choice::choices;

choices! {
    /// How the learning rate changes over a run.
    pub enum Schedule ("setting of train.schedule", default Linear) {
        /// from 0 to the peak in the warm-up, then linearly to 0 (Devlin et al. 2019, A.2)
        Linear = "linear",
        /// 1 - x at the part x of all steps behind the warm-up: falls at once from the peak (Liang et al. 2021, in code)
        Liang2021 = "liang2021",
    }
}

impl Schedule {
    /// The multiplier of step `step` of `total`, counted from 0. `warmup` is the fraction of all steps that warms up.
    pub fn factor(self, step: u64, total: u64, warmup: f64) -> f64 {
        match self {
            Self::Linear => {
                let warmup = (total as f64 * warmup).round() as u64;
                if step < warmup {
                    return step as f64 / warmup as f64;
                }
                total.saturating_sub(step) as f64 / (total - warmup).max(1) as f64
            }
            Self::Liang2021 => {
                let x = step as f64 / total as f64;
                if x < warmup { x / warmup } else { 1.0 - x }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_warm_up_the_rate_falls_from_one_to_one_step_above_zero() {
        for schedule in [Schedule::Linear, Schedule::Liang2021] {
            assert_eq!([0, 1, 2, 3, 4].map(|t| schedule.factor(t, 4, 0.0)), [1.0, 0.75, 0.5, 0.25, 0.0]);
        }
    }

    #[test]
    fn with_warm_up_the_rate_rises_first() {
        let factor = |t| Schedule::Linear.factor(t, 10, 0.2);
        assert_eq!([0, 1, 2, 6, 9].map(factor), [0.0, 0.5, 1.0, 0.5, 0.125]);
    }

    #[test]
    fn the_published_schedule_falls_at_once_by_the_part_that_warmed_up() {
        let factor = |t| Schedule::Liang2021.factor(t, 40, 0.25);
        assert_eq!([0, 5, 10, 20, 39].map(factor), [0.0, 0.5, 0.75, 0.5, 1.0 - 39.0 / 40.0]);
        assert_eq!(Schedule::Liang2021.factor(4, 40, 0.1), 0.9);
        assert_eq!([0, 1].map(|t| Schedule::Liang2021.factor(t, 1, 1.0)), [0.0, 0.0]);
    }
}
