//! Table look-up and its gradient; see [`crate::embedding`].

use super::{
    Argument, Buffer, Format, Gpu, Grid,
    chunks::{CHUNK, THREADS, blocks, vectors},
    gpu::named,
    sums::RUN_THREADS,
};
use crate::{embedding::NO_ROW, error::Result};

/// Tokens of one piece at most: what one warp adds up.
const PIECE: u32 = 64;

/// The slot of a piece that is all there is of its row.
const ALONE: u32 = u32::MAX;

/// out (T, H) ← the sum of the three tables' rows; the tables are f32, `rows` (T) of u32.
pub fn forward(
    gpu: &dyn Gpu,
    format: Format,
    tables: [u64; 3],
    rows: [u64; 3],
    out: u64,
    t: usize,
    h: usize,
) -> Result<()> {
    let mut all: Vec<Argument> = [tables, rows].concat().into_iter().map(Argument::Address).collect();
    let [a, b, c] = tables;
    all.extend([
        Argument::Address(out),
        Argument::U32(t as u32),
        Argument::U32(h as u32),
        vectors(h, &[a, b, c, out]),
    ]);
    gpu.launch(&named("embedding_forward", format), Grid::new(blocks(t), THREADS), &all)
}

/// Which tokens take which row of a table, for [`backward`]: the tokens sorted by their rows, in pieces of at most 64
/// of one row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Users {
    address: u64,
    tokens: usize,
    pieces: usize,
    repeated: usize,
    slots: usize,
}

impl Users {
    /// By the row that each token takes, if any; and what is to lie at its address: the tokens; of each piece its first
    /// token's place, how many it has, its row and its slot in scratch; of each row of several pieces its number, its first
    /// slot and how many it has.
    pub fn pack(rows: &[u32]) -> (Self, Vec<u32>) {
        // Sorted by counting: of each row how many tokens take it, then where they begin, then where they end.
        let learning = || (0u32..).zip(rows).filter(|(_, row)| **row != NO_ROW);
        let tokens = learning().count();
        let mut ends = vec![0u32; learning().map(|(_, row)| *row as usize + 1).max().unwrap_or(0)];
        learning().for_each(|(_, row)| ends[*row as usize] += 1);
        let mut before = 0;
        ends.iter_mut().for_each(|n| before += std::mem::replace(n, before));
        let mut packed = vec![0; tokens];
        for (token, row) in learning() {
            let end = &mut ends[*row as usize];
            packed[*end as usize] = token;
            *end += 1;
        }
        let (mut repeated, mut first, mut slot) = (Vec::new(), 0u32, 0u32);
        for (row, end) in (0u32..).zip(ends) {
            let alone = end - first <= PIECE;
            if !alone {
                repeated.extend([row, slot, (end - first).div_ceil(PIECE)]);
            }
            while first < end {
                let len = PIECE.min(end - first);
                packed.extend([first, len, row, if alone { ALONE } else { slot }]);
                first += len;
                slot += u32::from(!alone);
            }
        }
        let users = Self {
            address: 0,
            tokens,
            pieces: (packed.len() - tokens) / 4,
            repeated: repeated.len() / 3,
            slots: slot as usize,
        };
        packed.extend(repeated);
        (users, packed)
    }

    /// What was packed lies at this address.
    pub fn at(self, address: u64) -> Self {
        Self { address, ..self }
    }
}

/// d_table (rows, H) of f32: the row of each token += d[token], of d (T, H). Sums of the pieces of rows that have
/// several go to `scratch`, then to the row in their order.
pub fn backward(
    gpu: &dyn Gpu,
    format: Format,
    users: &Users,
    d: u64,
    h: usize,
    d_table: u64,
    scratch: &Buffer,
) -> Result<()> {
    if users.pieces == 0 {
        return Ok(());
    }
    let scratch = if users.slots > 0 { scratch.floats(users.slots * h)? } else { 0 };
    let tokens = users.address;
    let pieces = tokens + 4 * users.tokens as u64;
    let repeated = pieces + 16 * users.pieces as u64;
    gpu.launch(
        &named("embedding_pieces", format),
        Grid::new(blocks(users.pieces * h.div_ceil(CHUNK)), THREADS),
        &[
            Argument::Address(d),
            Argument::Address(tokens),
            Argument::Address(pieces),
            Argument::U32(users.pieces as u32),
            Argument::U32(h as u32),
            Argument::Address(d_table),
            Argument::Address(scratch),
            vectors(h, &[d, d_table, scratch]),
        ],
    )?;
    gpu.launch(
        "embedding_rows",
        Grid { blocks: [h.div_ceil(32) as u32, users.repeated as u32, 1], threads: RUN_THREADS, shared: 0 },
        &[
            Argument::Address(repeated),
            Argument::Address(scratch),
            Argument::U32(h as u32),
            Argument::Address(d_table),
        ],
    )
}
