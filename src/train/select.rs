//! Which weights of a training are kept.

use super::{dataset::Dataset, evaluate};
use crate::{choice::choices, engine::Engine, error::Result, task::TaskSpec};

choices! {
    /// Which weights of a training are kept.
    pub enum Select ("setting of train.select", default Last) {
        /// those behind the last step
        Last = "last",
        /// those of the epoch that scores best on the development set, the earliest where several do
        BestEpoch = "best-epoch",
    }
}

/// What the best epoch is chosen by.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    pub task: &'static TaskSpec,
    pub dev: &'a Dataset,
}

impl Judge<'_> {
    /// The task's metric on the development set; higher is better.
    pub fn score(&self, engine: &mut dyn Engine) -> Result<f64> {
        let outputs = evaluate::logits(engine, self.dev)?;
        Ok(evaluate::metrics(self.task, self.dev, &outputs)[self.task.metric.name()])
    }
}

/// The best of all epochs, counted from 0; the earliest where several are. `None` if there is none.
pub fn best(scores: &[f64]) -> Option<usize> {
    let better = |best: Option<usize>, epoch: usize| match best {
        Some(best) if scores[epoch] <= scores[best] => Some(best),
        _ => Some(epoch),
    };
    (0..scores.len()).fold(None, better)
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn the_best_epoch_is_the_earliest_of_equal_ones() {
        assert_eq!(best(&[]), None);
        assert_eq!(best(&[-1.0]), Some(0));
        assert_eq!(best(&[0.5, 0.7, 0.7, 0.6]), Some(1));
        assert_eq!(best(&[0.5, 0.4, 0.3]), Some(0));
        assert_eq!(best(&[0.0, 0.0, 0.1]), Some(2));
    }
}
