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
    /// Whether the model's tokens have types; else all are of the first.
    token_types: bool,
    /// Of padding, where positions are counted from it.
    padding: Option<u32>,
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
    /// Classes, words, the bits of scores, or starts and ends of spans: what is to be found.
    Targets,
}

impl Batch {
    /// `padding` is its id where positions are counted from it.
    pub fn new(gpu: &Rc<dyn Gpu>, token_types: bool, padding: Option<u32>) -> Self {
        Self {
            buffer: Buffer::new(gpu),
            tokens: 0,
            sequences: 0,
            chosen: 0,
            longest: 0,
            longest_chosen: 0,
            token_types,
            padding,
            addresses: [0; 7],
            users: [Users::default(); 3],
        }
    }

    /// `rows`, ascending, are what the head reads; without any, each sequence's first token.
    pub fn upload(&mut self, input: &Input, rows: Option<&[usize]>, targets: &[u32]) -> Result<()> {
        self.upload_with(input, rows, targets, [&[]; 3])
    }

    /// The same, and which tokens take which row, for the gradients of the tables.
    pub fn upload_for_training(
        &mut self,
        input: &Input,
        rows: Option<&[usize]>,
        targets: &[u32],
    ) -> Result<()> {
        let [words, positions] = input.learning_rows(self.padding);
        let packed = [&*words, &*positions, input.segments].map(Users::pack);
        self.users = packed.each_ref().map(|(users, _)| *users);
        self.upload_with(input, rows, targets, packed.each_ref().map(|(_, packed)| &packed[..]))
    }

    fn upload_with(
        &mut self,
        input: &Input,
        rows: Option<&[usize]>,
        targets: &[u32],
        users: [&[u32]; 3],
    ) -> Result<()> {
        let chosen: Vec<u32> =
            rows.unwrap_or(&input.offsets[..input.sequences()]).iter().map(|row| *row as u32).collect();
        let offsets: Vec<u32> = input.offsets.iter().map(|at| *at as u32).collect();
        let before = |end: &u32| chosen.partition_point(|row| row < end) as u32;
        let chosen_offsets: Vec<u32> = offsets.iter().map(before).collect();
        (self.tokens, self.sequences, self.chosen) = (input.tokens(), input.sequences(), chosen.len());
        (self.longest, self.longest_chosen) = (longest(&offsets), longest(&chosen_offsets));
        let [words, positions, segments] = users;
        let position_rows = input.position_rows(self.padding);
        let untyped = if self.token_types { Vec::new() } else { vec![0; input.tokens()] };
        let parts = [
            input.ids,
            &*position_rows,
            if self.token_types { input.segments } else { &untyped },
            &offsets,
            &chosen,
            &chosen_offsets,
            targets,
            words,
            positions,
            segments,
        ];
        let room = parts.iter().map(|part| part.len().next_multiple_of(4)).sum();
        let (mut all, mut starts) = (Vec::with_capacity(room), [0; 10]);
        for (start, part) in starts.iter_mut().zip(parts) {
            // Where a vector load may begin.
            all.resize(all.len().next_multiple_of(4), 0u32);
            *start = all.len();
            all.extend_from_slice(part);
        }
        let base = self.buffer.upload(&all)?;
        let (of_parts, of_users) = starts.split_at(self.addresses.len());
        let at = |start: &usize| base + (start * 4) as u64;
        self.addresses.iter_mut().zip(of_parts).for_each(|(address, start)| *address = at(start));
        self.users.iter_mut().zip(of_users).for_each(|(users, start)| *users = users.at(at(start)));
        Ok(())
    }

    pub fn at(&self, part: Part) -> u64 {
        self.addresses[part as usize]
    }
}

fn longest(offsets: &[u32]) -> usize {
    offsets.windows(2).map(|at| (at[1] - at[0]) as usize).max().unwrap_or(0)
}
