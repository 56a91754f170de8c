//! Logits of a whole dataset, dropout off.

use super::dataset::{Dataset, input};
use crate::model::{Bert, Gates, Pass, Workspace};

/// Examples that are packed together: it changes nothing but speed and memory.
pub const BATCH: usize = 32;

/// (examples, labels), in the dataset's order. `gates` masks units of an unpruned model.
pub fn logits(bert: &Bert, data: &Dataset, gates: Option<&Gates>, workspace: &mut Workspace) -> Vec<f32> {
    let mut out = Vec::with_capacity(data.len() * bert.labels());
    let all: Vec<usize> = (0..data.len()).collect();
    for indices in all.chunks(BATCH) {
        let (batch, _) = data.batch(indices);
        bert.forward(&input(&batch), &Pass { gates, ..Pass::default() }, workspace);
        out.extend_from_slice(workspace.logits());
    }
    out
}
