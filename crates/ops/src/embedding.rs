//! Table look-up and its gradient.

use super::ROWS_PER_TASK;
use rayon::prelude::*;

/// One table (rows, H) with the row that each token takes.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    pub table: &'a [f32],
    pub rows: &'a [u32],
}

/// A token with this row takes part in no gradient.
pub const NO_ROW: u32 = u32::MAX;

/// out (T, H) ← the sum of the tables' rows.
pub fn forward(lookups: &[Lookup], h: usize, out: &mut [f32]) {
    out.par_chunks_mut(ROWS_PER_TASK * h).enumerate().for_each(|(i, out)| {
        for (r, out) in out.chunks_mut(h).enumerate() {
            let token = i * ROWS_PER_TASK + r;
            let mut rows = lookups.iter().map(|l| &l.table[l.rows[token] as usize * h..][..h]);
            out.copy_from_slice(rows.next().expect("a table of words"));
            rows.for_each(|row| out.iter_mut().zip(row).for_each(|(o, v)| *o += v));
        }
    });
}

/// d_table[row of token] += d[token], but for those of [`NO_ROW`]. Each part of the table is summed by one task in the order
/// of the tokens: no atomics, and the same bits on any number of threads.
pub fn backward(rows: &[u32], d: &[f32], h: usize, d_table: &mut [f32]) {
    let band = (d_table.len() / h).div_ceil(32).max(1);
    d_table.par_chunks_mut(band * h).enumerate().for_each(|(i, part)| {
        let first = i * band;
        let last = first + part.len() / h;
        for (token, row) in rows.iter().enumerate() {
            let row = *row as usize;
            if (first..last).contains(&row) {
                let to = &mut part[(row - first) * h..][..h];
                to.iter_mut().zip(&d[token * h..]).for_each(|(t, d)| *t += d);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_and_gradients_return_to_every_row_that_was_used() {
        let h = 3;
        let table = |seed: f32| (0..40 * h).map(|i| i as f32 + seed).collect::<Vec<f32>>();
        let (a, b, c) = (table(0.0), table(0.25), table(0.5));
        let ids: Vec<u32> = (0..50).map(|i| i * 7 % 40).collect();
        let zero = vec![0u32; 50];
        let lookups = [
            Lookup { table: &a, rows: &ids },
            Lookup { table: &b, rows: &zero },
            Lookup { table: &c, rows: &ids },
        ];
        let mut out = vec![0.0; 50 * h];
        forward(&lookups, h, &mut out);
        let mut expected = vec![1.0f32; 40 * h];
        for (t, id) in ids.iter().enumerate() {
            for j in 0..h {
                let at = *id as usize * h + j;
                assert_eq!(out[t * h + j], a[at] + b[j] + c[at]);
                expected[at] += out[t * h + j];
            }
        }
        let mut gradient = vec![1.0; 40 * h];
        backward(&ids, &out, h, &mut gradient);
        assert_eq!(gradient, expected);
        backward(&[NO_ROW; 50], &out, h, &mut gradient);
        assert_eq!(gradient, expected);
    }
}
