//! Batches with hidden words.

use crate::text::{Batch, Encoded, Masking};

/// Text that scores is always masked in the same way, whatever the seed of the run, so that scores can be compared.
pub const SCORING_SEED: u64 = 0;

/// Which masks sequences get: they differ from epoch to epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    pub seed: u64,
    pub epoch: usize,
}

impl Draw {
    /// Those of text that scores.
    pub const SCORING: Self = Self { seed: SCORING_SEED, epoch: 0 };
}

/// A packed batch with masked tokens: their rows, ascending, and their original ids.
pub struct Masked {
    pub batch: Batch,
    pub rows: Vec<usize>,
    pub words: Vec<u32>,
}

impl Masked {
    pub fn new(text: &[Encoded], indices: &[usize], masking: &Masking, draw: Draw) -> Self {
        let mut batch = Batch::pack(text, indices);
        let (mut places, mut rows, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for (index, at) in indices.iter().zip(batch.offsets.windows(2)) {
            places.clear();
            let ids = &mut batch.ids[at[0]..at[1]];
            masking.apply(ids, draw.seed, draw.epoch as u32, *index as u32, &mut places, &mut words);
            rows.extend(places.iter().map(|place| at[0] + *place as usize));
        }
        Self { batch, rows, words }
    }
}
