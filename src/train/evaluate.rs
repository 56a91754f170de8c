//! Logits of a whole dataset, dropout off.

use super::dataset::{Dataset, input};
use crate::{engine::Engine, error::Result};

/// Examples that are packed together: it changes nothing but speed and memory.
pub const BATCH: usize = 32;

/// (examples, labels), in the dataset's order.
pub fn logits(engine: &mut dyn Engine, data: &Dataset) -> Result<Vec<f32>> {
    let mut out = Vec::new();
    let all: Vec<usize> = (0..data.len()).collect();
    for indices in all.chunks(BATCH) {
        let (batch, _) = data.batch(indices);
        out.extend(engine.logits(&input(&batch), None)?);
    }
    Ok(out)
}
