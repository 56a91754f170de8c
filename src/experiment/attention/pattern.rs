//! The patterns of attention maps (Kovaleva et al. 2019; Prasanna et al. 2020, section 6), by a rule.
//!
//! The papers' labels are not available, nor is a classifier that was trained on them. The rule: with Aᵢⱼ the attention of
//! token i to token j, rows summing to 1, over L tokens,
//!
//! * v is the part of the attention that goes to columns whose mean is at least 0.1 and 2 / L;
//! * d is what of the rest stays within one token of the diagonal, less what it would be if all were equal, as a part of
//!   what it could be;
//! * b is what of the rest stays within its own segment, in the same way; 0 of one segment.
//!
//! v + d ≥ 0.6 is `vertical` where d < 0.2, `diagonal` where v < 0.2, and `vertical+diagonal` else; b ≥ 0.6 is `block`; all
//! others are `heterogeneous`.

use crate::choice::choices;

choices! {
    /// What an attention map looks like.
    pub enum Pattern ("pattern") {
        /// most attention to a few tokens, such as [CLS] and [SEP]
        Vertical = "vertical",
        /// most attention to the token itself and its neighbours
        Diagonal = "diagonal",
        /// both of them
        Both = "vertical+diagonal",
        /// most attention within the own segment
        Block = "block",
        /// none of them
        Heterogeneous = "heterogeneous",
    }
}

/// Shorter sequences have no pattern: everything is near the diagonal.
pub const SHORTEST: usize = 16;

const MOST: f64 = 0.6;
const SOME: f64 = 0.2;

impl Pattern {
    /// Of a map (L, L) and the segment of each token; none of fewer than [`SHORTEST`] tokens or without any attention. Rows are
    /// normalised here.
    pub fn of(map: &[f64], segments: &[u32]) -> Option<Self> {
        let length = segments.len();
        let rows: Vec<Vec<f64>> = map.chunks(length.max(1)).filter_map(normalised).collect();
        if length < SHORTEST || rows.len() != length {
            return None;
        }
        let mean = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>() / length as f64;
        let high = f64::max(0.1, 2.0 / length as f64);
        let is_high: Vec<bool> = (0..length).map(|column| mean(column) >= high).collect();
        let vertical = (0..length).filter(|column| is_high[*column]).map(mean).sum::<f64>();
        // Of the cells outside of the high columns: the attention in those that are near, and how many they are.
        let share = |is_near: &dyn Fn(usize, usize) -> bool| {
            let (mut near, mut cells, mut all) = (0.0, 0, 0);
            for (i, row) in rows.iter().enumerate() {
                for (j, value) in row.iter().enumerate().filter(|(j, _)| !is_high[*j]) {
                    all += 1;
                    if is_near(i, j) {
                        (near, cells) = (near + value, cells + 1);
                    }
                }
            }
            (near / length as f64, f64::from(cells) / f64::from(all.max(1)))
        };
        // What is beyond an even spread of the rest, as a part of what could be beyond it.
        let rest = 1.0 - vertical;
        let beyond = |(near, even): (f64, f64)| ((near - rest * even) / (1.0 - even).max(1e-9)).max(0.0);
        let diagonal = beyond(share(&|i, j| i.abs_diff(j) <= 1));
        let in_segment = share(&|i, j| segments[i] == segments[j]);
        let block = if in_segment.1 > 0.99 { 0.0 } else { beyond(in_segment) };
        Some(match (vertical, diagonal) {
            (v, d) if v + d >= MOST && d < SOME => Self::Vertical,
            (v, d) if v + d >= MOST && v < SOME => Self::Diagonal,
            (v, d) if v + d >= MOST => Self::Both,
            _ if block >= MOST => Self::Block,
            _ => Self::Heterogeneous,
        })
    }
}

fn normalised(row: &[f64]) -> Option<Vec<f64>> {
    let sum: f64 = row.iter().sum();
    (sum.is_finite() && sum > 0.0).then(|| row.iter().map(|value| value / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;
    use std::f64::consts::TAU;

    /// Even numbers in 0..1, from a Weyl sequence.
    struct Noise(f64);

    impl Noise {
        fn next(&mut self) -> f64 {
            self.0 = (self.0 + 0.754_877_666_246_692_8).fract();
            self.0
        }
    }

    /// A map of a pattern with noise: the pattern's cells have 4 to 12 times the attention of the others.
    fn drawn(pattern: Pattern, length: usize, noise: &mut Noise) -> (Vec<f64>, Vec<u32>) {
        let middle = length / 3 + (noise.next() * length as f64 / 3.0) as usize;
        let segments: Vec<u32> = (0..length).map(|at| u32::from(at >= middle)).collect();
        let columns = [0, middle - 1, length - 1];
        let used = 1 + (noise.next() * 3.0) as usize;
        let mut map = Vec::new();
        for i in 0..length {
            for j in 0..length {
                let (high, near) = (columns[..used].contains(&j), i.abs_diff(j) <= 1);
                let own = segments[i] == segments[j];
                let cells = length as f64;
                let base = 0.2 / cells * (0.5 + noise.next());
                let strength = 0.8 + 0.4 * noise.next();
                map.push(
                    base + strength
                        * match pattern {
                            Pattern::Vertical if high => 1.0 / used as f64,
                            Pattern::Diagonal if near => 1.0 / 3.0,
                            Pattern::Both if near => 1.0 / 6.0,
                            Pattern::Both if high => 0.5 / used as f64,
                            Pattern::Block if own => 2.0 / cells,
                            Pattern::Heterogeneous => {
                                (1.0 + (TAU * (noise.next() + (i * j) as f64 / 7.0)).sin()) / cells
                            }
                            _ => 0.0,
                        },
                );
            }
        }
        (map, segments)
    }

    #[test]
    fn drawn_maps_have_the_pattern_that_they_were_drawn_with() {
        let mut noise = Noise(0.1);
        for pattern in Pattern::all() {
            for length in [SHORTEST, 20, 24, 40, 64, 128] {
                for _ in 0..20 {
                    let (map, segments) = drawn(*pattern, length, &mut noise);
                    assert_eq!(Pattern::of(&map, &segments), Some(*pattern), "{length} tokens");
                    // A row's scale does not matter.
                    let scaled: Vec<f64> = map
                        .chunks(length)
                        .zip(1..)
                        .flat_map(|(row, n)| row.iter().map(move |v| v * f64::from(n)))
                        .collect();
                    assert_eq!(Pattern::of(&scaled, &segments), Some(*pattern));
                }
            }
        }
    }

    #[test]
    fn one_segment_has_no_block_and_short_or_empty_maps_have_no_pattern() {
        let even = vec![1.0; 400];
        assert_eq!(Pattern::of(&even, &[0; 20]), Some(Pattern::Heterogeneous));
        assert_eq!(Pattern::of(&[1.0; 225], &[0; 15]), None);
        assert_eq!(Pattern::of(&vec![0.0; 400], &[0; 20]), None);
        assert_eq!(Pattern::of(&vec![f64::NAN; 400], &[0; 20]), None);
    }
}
