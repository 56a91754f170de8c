//! A packed batch in device memory, in one upload.

use crate::{
    error::Result,
    model::Input,
    ops::cuda::{Buffer, Gpu, embedding::Users},
};
use std::rc::Rc;

/// What a pass reads besides the weights. Addresses are of u32.
pub(super) struct Batch {
    buffer: Buffer,
    pub tokens: usize,
    pub sequences: usize,
    /// Rows that the model's head reads.
    pub chosen: usize,
    pub longest: usize,
    /// The longest part of one sequence among the chosen rows.
    pub longest_chosen: usize,
    addresses: [u64; 7],
    /// Which tokens take which row of the three tables; for training.
    pub users: [Users; 3],
}

/// Of the arrays in the upload.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Ids,
    Positions,
    Segments,
    Offsets,
    Chosen,
    ChosenOffsets,
    /// Classes, words or the bits of scores: what is to be found.
    Targets,
}

impl Batch {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        Self {
            buffer: Buffer::new(gpu),
            tokens: 0,
            sequences: 0,
            chosen: 0,
            longest: 0,
            longest_chosen: 0,
            addresses: [0; 7],
            users: [(); 3].map(|()| Users::new(gpu)),
        }
    }

    /// `rows`, ascending, are what the head reads; without any, each sequence's first token.
    pub fn upload(&mut self, input: &Input, rows: Option<&[usize]>, targets: &[u32]) -> Result<()> {
        let chosen: Vec<u32> =
            rows.unwrap_or(&input.offsets[..input.sequences()]).iter().map(|row| *row as u32).collect();
        let offsets: Vec<u32> = input.offsets.iter().map(|at| *at as u32).collect();
        let before = |end: &u32| chosen.partition_point(|row| row < end) as u32;
        let chosen_offsets: Vec<u32> = offsets.iter().map(before).collect();
        (self.tokens, self.sequences, self.chosen) = (input.tokens(), input.sequences(), chosen.len());
        (self.longest, self.longest_chosen) = (longest(&offsets), longest(&chosen_offsets));
        let parts = [input.ids, input.positions, input.segments, &offsets, &chosen, &chosen_offsets, targets];
        // Each begins where a vector load may.
        let starts: Vec<usize> = parts
            .iter()
            .scan(0, |at, part| {
                let start = *at;
                *at = (start + part.len()).next_multiple_of(4);
                Some(start)
            })
            .collect();
        let mut all = vec![0u32; starts[6] + targets.len()];
        for (start, part) in starts.iter().zip(parts) {
            all[*start..start + part.len()].copy_from_slice(part);
        }
        let base = self.buffer.upload(&all)?;
        self.addresses.iter_mut().zip(starts).for_each(|(a, start)| *a = base + (start * 4) as u64);
        Ok(())
    }

    /// Finds which tokens take which row, for the gradients of the tables.
    pub fn upload_users(&mut self, input: &Input) -> Result<()> {
        for (users, rows) in self.users.iter_mut().zip([input.ids, input.positions, input.segments]) {
            users.upload(rows)?;
        }
        Ok(())
    }

    pub fn at(&self, part: Part) -> u64 {
        self.addresses[part as usize]
    }
}

fn longest(offsets: &[u32]) -> usize {
    offsets.windows(2).map(|at| (at[1] - at[0]) as usize).max().unwrap_or(0)
}
