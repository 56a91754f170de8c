//! Pruning of single weights in the course of a training (Zhu and Gupta 2017).

use crate::{error::Result, model::Bert, ops::WeightMask};

/// What prunes. The weights that it prunes stay zero until the end.
pub trait Pruner {
    /// Whether weights are pruned before this step, counted from 0.
    fn is_due(&self, step: u64) -> bool;

    /// The mask of a model from this step on, where [`is_due`](Self::is_due); zeros are the first to be pruned.
    fn mask(&self, step: u64, bert: &Bert) -> Result<WeightMask>;

    /// That of a model that has taken so many steps, which the last pruning before them left; none before the first.
    fn reached(&self, steps: u64, bert: &Bert) -> Result<Option<WeightMask>>;
}
