//! Logits of a whole dataset, dropout off.

use super::dataset::{Dataset, input};
use crate::{engine::Engine, error::Result, ops::pending::pipelined};

/// Examples per batch, which only affects speed and memory.
pub const BATCH: usize = 32;

/// (examples, labels), in the dataset's order.
pub fn logits(engine: &mut dyn Engine, data: &Dataset) -> Result<Vec<f32>> {
    let mut out = Vec::new();
    let all: Vec<usize> = (0..data.len()).collect();
    let requests = all.chunks(BATCH).map(|indices| {
        let (batch, _) = data.batch(indices);
        Ok(((), engine.logits(&input(&batch), None)?))
    });
    pipelined(requests, |(), logits| {
        out.extend(logits);
        Ok(())
    })?;
    Ok(out)
}
