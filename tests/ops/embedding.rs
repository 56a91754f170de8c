//! Table look-up and its gradient.

use crate::support::{Sums, holds, indices, numbers, on_threads, rows, wide, width};
use lottery::ops::embedding::{self, Lookup};
use proptest::prelude::{any, prop};

/// Largest error, as a part of the sizes of the terms; measured: below 3e-7.
const TOLERANCE: f64 = 5e-7;

/// Three tables of these sizes; `used` limits the rows that are looked up, so that they repeat.
fn check(tokens: usize, h: usize, sizes: [usize; 3], used: usize, seed: u64) {
    let mut name = 0;
    let tables = sizes.map(|rows| {
        name += 1;
        let looked_up = indices(tokens, used.min(rows), seed, 10 + name);
        // From the table's end, where its last and shortest part is.
        let looked_up: Vec<u32> = looked_up.iter().map(|row| rows as u32 - 1 - row).collect();
        (numbers(rows * h, seed, name), looked_up)
    });
    let d = numbers(tokens * h, seed, 4);
    let [out, first, second, third] = on_threads(|| {
        let mut out = vec![f32::NAN; tokens * h];
        let lookups = [0, 1, 2].map(|i| Lookup { table: &tables[i].0, rows: &tables[i].1 });
        embedding::forward(&lookups, h, &mut out);
        // The tables themselves stand for the gradient that was there before.
        let [a, b, c] = [0, 1, 2].map(|i| {
            let (mut gradient, looked_up) = (tables[i].0.clone(), &tables[i].1);
            embedding::backward(looked_up, &d, h, &mut gradient);
            gradient
        });
        [out, a, b, c]
    });
    let mut exact_out = Sums::zeros(tokens * h);
    for ((table, looked_up), found) in tables.iter().zip([first, second, third]) {
        let mut exact = Sums::from(table);
        for (token, row) in looked_up.iter().enumerate() {
            let at = *row as usize * h;
            exact_out.add_row(token * h, (1.0, 1.0), &wide(&table[at..at + h]));
            exact.add_row(at, (1.0, 1.0), &wide(&d[token * h..(token + 1) * h]));
        }
        exact.assert_near(&found, TOLERANCE, "a table's gradient");
        let touched = |row: usize| looked_up.contains(&(row as u32));
        for (row, (found, table)) in found.chunks(h).zip(table.chunks(h)).enumerate() {
            assert!(touched(row) || found == table, "row {row} was looked up by nobody");
        }
    }
    exact_out.assert_near(&out, TOLERANCE, "the sum of rows");
}

#[test]
fn embeddings_agree_with_f64_in_the_corners() {
    check(1, 1, [1, 1, 1], 1, 2);
    check(1, 130, [100, 512, 2], 100, 2);
    // All tokens on one row of each table.
    check(511, 17, [65, 512, 2], 1, 2);
    check(511, 5, [1000, 512, 2], 512, 2);
}

#[test]
fn embeddings_agree_with_f64_over_drawn_shapes() {
    let size = || prop::sample::select(vec![1, 2, 31, 32, 33, 64, 65, 512]);
    let used = prop::sample::select(vec![1, 3, 40, 512]);
    holds(
        16,
        (rows(), width(), (size(), size(), size()), used, any::<u64>()),
        |(n, h, (a, b, c), used, seed)| {
            check(n, h, [a, b, c], used, seed);
        },
    );
}
