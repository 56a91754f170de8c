//! The smallest of many numbers, without sorting them: masks over all weights of a model.
//!
//! Two passes of a radix selection over 32-bit keys find the key of the n-th smallest element; a third one marks. Of equal
//! keys the first in order are taken, so the outcome is the same on every machine and with any number of threads.

use crate::rng::{Purpose, philox};
use rayon::prelude::*;

/// Elements that one parallel task counts.
const CHUNK: usize = 1 << 18;
const HALF: usize = 1 << 16;

/// Some of the numbers: a tensor of a model.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub values: &'a [f32],
    /// 64 elements each, the first in the lowest bit: 0 for those that are taken already, before all others. Without
    /// any words, none is.
    pub left: &'a [u64],
}

/// What is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Smallest,
    Largest,
    /// Whatever their values: every subset is equally likely, and the seed decides.
    Random(u64),
}

/// All elements with a lower key, and the first so many of those that have it.
struct Cut {
    key: u32,
    ties: usize,
}

/// Takes `n` elements of all parts together by their magnitudes, those that are taken already among them. Returns 64
/// elements a word for each part: 1 for what is left.
///
/// # Panics
/// When there are fewer than `n` elements, or fewer words than a part's elements need.
pub fn take(parts: &[Part], n: usize, order: Order) -> Vec<Vec<u64>> {
    let starts: Vec<usize> =
        parts.iter().scan(0, |sum, part| Some(std::mem::replace(sum, *sum + part.values.len()))).collect();
    let key = |part: usize, index: usize| {
        let Part { values, left } = parts[part];
        if !left.is_empty() && left[index / 64] >> (index % 64) & 1 == 0 {
            return 0;
        }
        // Of finite numbers at most 0x7f7f_ffff, so that 0 is left for those that are taken.
        let magnitude = values[index].to_bits() & 0x7fff_ffff;
        match order {
            Order::Smallest => 1 + magnitude,
            Order::Largest => 1 + (0x7fff_ffff - magnitude),
            Order::Random(seed) => random(seed, starts[part] + index).max(1),
        }
    };
    let lens: Vec<usize> = parts.iter().map(|part| part.values.len()).collect();
    let Cut { key: cut, mut ties } = cut(&lens, n, &key);
    let mut left: Vec<Vec<u64>> = lens.iter().map(|len| vec![0; len.div_ceil(64)]).collect();
    for (part, words) in left.iter_mut().enumerate() {
        let len = lens[part];
        // Each word's elements above the cut, and those at it; the latter are taken in order.
        let at: Vec<u64> = words
            .par_iter_mut()
            .enumerate()
            .map(|(w, word)| {
                let elements = w * 64..len.min(w * 64 + 64);
                elements.fold(0, |at, index| {
                    let key = key(part, index);
                    *word |= u64::from(key > cut) << (index % 64);
                    at | u64::from(key == cut) << (index % 64)
                })
            })
            .collect();
        for (word, mut at) in words.iter_mut().zip(at) {
            while at != 0 && ties > 0 {
                at &= at - 1;
                ties -= 1;
            }
            *word |= at;
        }
    }
    left
}

/// A key for each element, independent of how elements are divided.
fn random(seed: u64, index: usize) -> u32 {
    philox([(index >> 2) as u32, (index >> 34) as u32, Purpose::Selection as u32, 0], seed)[index & 3]
}

fn cut(lens: &[usize], n: usize, key: &(impl Fn(usize, usize) -> u32 + Sync)) -> Cut {
    assert!(n <= lens.iter().sum(), "{n} of {lens:?} elements");
    let chunks: Vec<(usize, usize)> = lens
        .iter()
        .enumerate()
        .flat_map(|(part, len)| (0..*len).step_by(CHUNK).map(move |start| (part, start)))
        .collect();
    let count = |of: &(dyn Fn(u32) -> Option<u16> + Sync)| -> Vec<usize> {
        let add = |mut counts: Vec<usize>, (part, start): &(usize, usize)| {
            for index in *start..lens[*part].min(start + CHUNK) {
                if let Some(half) = of(key(*part, index)) {
                    counts[usize::from(half)] += 1;
                }
            }
            counts
        };
        let zeros = || vec![0; HALF];
        let sum = |a: Vec<usize>, b: Vec<usize>| a.iter().zip(&b).map(|(a, b)| a + b).collect();
        chunks.par_iter().fold(zeros, add).reduce(zeros, sum)
    };
    let (high, before) = reach(&count(&|key| Some((key >> 16) as u16)), n);
    let (low, within) = reach(&count(&|key| ((key >> 16) as u16 == high).then_some(key as u16)), n - before);
    Cut { key: u32::from(high) << 16 | u32::from(low), ties: n - before - within }
}

/// The first place up to which there are at least `n`, and how many there are before it.
fn reach(counts: &[usize], n: usize) -> (u16, usize) {
    let mut before = 0;
    for (place, count) in counts.iter().enumerate() {
        if before + count >= n {
            return (place as u16, before);
        }
        before += count;
    }
    unreachable!("there are {before} elements, fewer than {n}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn bits(words: &[Vec<u64>], lens: &[usize]) -> Vec<bool> {
        let of = |(words, len): (&Vec<u64>, &usize)| {
            (0..*len).map(|i| words[i / 64] >> (i % 64) & 1 == 1).collect::<Vec<_>>()
        };
        words.iter().zip(lens).flat_map(of).collect()
    }

    /// What sorting gives, of all parts as one row of numbers.
    fn sorted(values: &[f32], left: &[bool], n: usize, largest: bool) -> Vec<bool> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        let key = |i: &usize| if largest { -values[*i].abs() } else { values[*i].abs() };
        order.sort_by(|a, b| left[*a].cmp(&left[*b]).then(key(a).total_cmp(&key(b))));
        let mut out = vec![true; values.len()];
        order[..n].iter().for_each(|i| out[*i] = false);
        out
    }

    #[test]
    fn what_is_taken_is_what_sorting_takes_with_ties_in_order_and_taken_ones_first() {
        let mut random = Stream::new(5, Purpose::Initialisation, 0);
        for lens in [vec![1], vec![64, 0, 3], vec![200, 129, 1000]] {
            let total: usize = lens.iter().sum();
            // Few values, so that there are many ties, zeros of both signs among them.
            let values: Vec<f32> =
                (0..total).map(|_| (4.0 - f64::from(random.below(9))) as f32 * 0.25).collect();
            let left: Vec<bool> = (0..total).map(|_| random.below(4) > 0).collect();
            let taken = left.iter().filter(|left| !**left).count();
            let mut start = 0;
            let cut: Vec<(&[f32], Vec<u64>)> = lens
                .iter()
                .map(|len| {
                    let range = start..start + len;
                    start += len;
                    let word = |bits: &[bool]| bits.iter().rev().fold(0, |w, bit| w << 1 | u64::from(*bit));
                    (&values[range.clone()], left[range].chunks(64).map(word).collect())
                })
                .collect();
            let parts: Vec<Part> = cut.iter().map(|(values, left)| Part { values, left }).collect();
            let fresh: Vec<Part> = cut.iter().map(|(values, _)| Part { values, left: &[] }).collect();
            for n in [taken, taken + (total - taken) / 3, total] {
                for (order, largest) in [(Order::Smallest, false), (Order::Largest, true)] {
                    let found = bits(&take(&parts, n, order), &lens);
                    assert_eq!(found, sorted(&values, &left, n, largest), "{n} of {lens:?}");
                    let found = bits(&take(&fresh, n, order), &lens);
                    assert_eq!(found, sorted(&values, &vec![true; total], n, largest), "{n} of {lens:?}");
                }
                let found = bits(&take(&parts, n, Order::Random(7)), &lens);
                assert_eq!(found.iter().filter(|left| !**left).count(), n);
                assert!(found.iter().zip(&left).all(|(found, left)| *left || !found));
            }
        }
    }

    #[test]
    fn a_random_choice_depends_on_the_seed_alone_and_favours_no_place() {
        let values = vec![0.0; 100_000];
        let lens = [60_000, 40_000];
        let of = |seed, lens: &[usize]| {
            let mut rest = &values[..];
            let parts: Vec<Part> = lens
                .iter()
                .map(|len| {
                    let (own, others) = rest.split_at(*len);
                    rest = others;
                    Part { values: own, left: &[] }
                })
                .collect();
            bits(&take(&parts, 30_000, Order::Random(seed)), lens)
        };
        let found = of(1, &lens);
        assert_eq!(found, of(1, &[100_000]));
        assert_ne!(found, of(2, &lens));
        // Of each tenth 3000 are expected; the standard deviation is 43.
        for tenth in found.chunks(10_000) {
            let taken = tenth.iter().filter(|left| !**left).count();
            assert!((2_780..3_220).contains(&taken), "{taken}");
        }
    }
}
