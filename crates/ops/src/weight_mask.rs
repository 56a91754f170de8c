//! Which single weights a training changes and which it holds at zero: the m of m ⊙ θ (Frankle and Carbin 2019).

use super::simd::LANES;
use std::ops::Range;

/// One bit for each parameter of a model, laid out as they are: 1 where it is kept, 0 where it is held at zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightMask {
    /// 64 parameters each, the first in the lowest bit; behind the last one zeros.
    words: Vec<u64>,
    len: usize,
}

impl WeightMask {
    /// Of so many parameters, all of them kept.
    pub fn all_kept(len: usize) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let (Some(last), 1..) = (words.last_mut(), len % 64) {
            *last >>= 64 - len % 64;
        }
        Self { words, len }
    }

    /// Sets which parameters of a range, such as a tensor's in the model's layout, are kept.
    ///
    /// # Panics
    /// When `kept` has not one value for each of them, or the range is not within the parameters.
    pub fn set(&mut self, range: Range<usize>, kept: impl IntoIterator<Item = bool>) {
        assert!(range.end <= self.len, "a mask of {} parameters has no {range:?}", self.len);
        let mut kept = kept.into_iter();
        for i in range.clone() {
            let kept =
                kept.next().unwrap_or_else(|| panic!("{range:?} has more parameters than the mask says"));
            let bit = 1 << (i % 64);
            if kept { self.words[i / 64] |= bit } else { self.words[i / 64] &= !bit }
        }
        assert!(kept.next().is_none(), "{range:?} has fewer parameters than the mask says");
    }

    /// Parameters, kept or held.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them are held at zero.
    pub fn held(&self) -> usize {
        self.len - self.words.iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }

    pub fn keeps(&self, parameter: usize) -> bool {
        self.words[parameter / 64] >> (parameter % 64) & 1 == 1
    }

    /// The bits, 64 in a word, the first parameter in the lowest; behind the last one zeros.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Makes the values of held parameters +0.0.
    ///
    /// # Panics
    /// When there are not as many values as parameters.
    pub fn apply(&self, values: &mut [f32]) {
        assert_eq!(values.len(), self.len, "a mask is of another model");
        for (i, values) in values.chunks_mut(LANES).enumerate() {
            let lanes = self.bits_from(i * LANES).lanes(0);
            values.iter_mut().zip(lanes).for_each(|(value, lane)| *value = masked(*value, lane));
        }
    }

    /// The bits from one parameter's on.
    pub(super) fn bits_from(&self, parameter: usize) -> Bits<'_> {
        Bits { words: &self.words, start: parameter }
    }
}

/// The value itself where `lane` is all ones, +0.0 where it is 0: whatever the value is.
#[inline(always)]
pub(super) fn masked(value: f32, lane: u32) -> f32 {
    f32::from_bits(value.to_bits() & lane)
}

/// A mask as the vectorised kernels take it.
pub(super) trait Lanes: Copy {
    /// Of the parameters from `at` on: all ones for those that are kept, 0 for those that are held.
    fn lanes(self, at: usize) -> [u32; LANES];
}

/// The bits of a mask from some parameter on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    words: &'a [u64],
    start: usize,
}

impl Bits<'_> {
    pub fn skip(self, parameters: usize) -> Self {
        Self { start: self.start + parameters, ..self }
    }
}

impl Lanes for Bits<'_> {
    #[inline(always)]
    fn lanes(self, at: usize) -> [u32; LANES] {
        let (word, shift) = ((self.start + at) / 64, (self.start + at) % 64);
        let mut bits = self.words[word] >> shift;
        if shift > 64 - LANES
            && let Some(next) = self.words.get(word + 1)
        {
            bits |= next << (64 - shift);
        }
        let bits = bits as u32;
        let mut lanes = [0; LANES];
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = if bits & (1 << i) != 0 { u32::MAX } else { 0 };
        }
        lanes
    }
}

/// No mask: all parameters are kept.
#[derive(Clone, Copy)]
pub(super) struct All;

impl Lanes for All {
    #[inline(always)]
    fn lanes(self, _: usize) -> [u32; LANES] {
        [u32::MAX; LANES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_what_its_ranges_say_and_all_else() {
        for len in [1, 63, 64, 65, 200] {
            let mut mask = WeightMask::all_kept(len);
            assert_eq!((mask.len(), mask.held()), (len, 0));
            let range = len / 3..len - len / 7;
            mask.set(range.clone(), range.clone().map(|i| i.is_multiple_of(3)));
            let kept = |i: usize| !range.contains(&i) || i.is_multiple_of(3);
            assert!((0..len).all(|i| mask.keeps(i) == kept(i)), "{len}");
            assert_eq!(mask.held(), (0..len).filter(|i| !kept(*i)).count());
            let mut values = vec![f32::NAN; len];
            mask.apply(&mut values);
            assert!((0..len).all(|i| if kept(i) { values[i].is_nan() } else { values[i].to_bits() == 0 }));
            for start in 0..len {
                let lanes = mask.bits_from(start).lanes(0);
                for (i, lane) in (start..len).zip(lanes) {
                    assert_eq!(lane, if kept(i) { u32::MAX } else { 0 }, "{i} of {len} from {start}");
                }
            }
            mask.set(range.clone(), range.map(|_| true));
            assert_eq!(mask, WeightMask::all_kept(len));
        }
    }

    #[test]
    #[should_panic(expected = "2..5 has more parameters than the mask says")]
    fn a_mask_says_something_of_every_parameter() {
        WeightMask::all_kept(9).set(2..5, [true, false]);
    }
}
