//! Flags packed into words of 64.

const WORD: usize = u64::BITS as usize;

/// One flag for each unit of a site. Bits of the last word beyond the end are 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bits {
    len: usize,
    words: Vec<u64>,
}

impl Bits {
    pub fn new(len: usize, value: bool) -> Self {
        let mut bits = Self { len, words: vec![if value { u64::MAX } else { 0 }; len.div_ceil(WORD)] };
        bits.clear_tail();
        bits
    }

    /// 64 flags a word, the first in its lowest bit; what is beyond the end does not count.
    pub fn from_words(len: usize, words: Vec<u64>) -> Self {
        assert_eq!(words.len(), len.div_ceil(WORD), "words for {len} flags");
        let mut bits = Self { len, words };
        bits.clear_tail();
        bits
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "flag {index} of {}", self.len);
        self.words[index / WORD] >> (index % WORD) & 1 == 1
    }

    pub fn set(&mut self, index: usize, value: bool) {
        assert!(index < self.len, "flag {index} of {}", self.len);
        let bit = 1 << (index % WORD);
        match value {
            true => self.words[index / WORD] |= bit,
            false => self.words[index / WORD] &= !bit,
        }
    }

    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// The indices of the zeros, ascending. Words without any are passed over.
    pub fn zeros(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(move |(at, word)| {
            let mut rest = !word;
            let bits = std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.checked_sub(1)?;
                Some(at * WORD + bit)
            });
            bits.take_while(|index| *index < self.len)
        })
    }

    /// Word by word; both are equally long.
    pub fn combine(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        assert_eq!(self.len, other.len, "flags of different sites");
        let words = self.words.iter().zip(&other.words).map(|(a, b)| of(*a, *b)).collect();
        let mut bits = Self { len: self.len, words };
        bits.clear_tail();
        bits
    }

    pub fn complement(&self) -> Self {
        self.combine(self, |a, _| !a)
    }

    /// Eight flags a byte, the first in its lowest bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(self.len.div_ceil(8));
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) wrote; or what is wrong with it.
    pub fn from_bytes(len: usize, bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() != len.div_ceil(8) {
            return Err(format!("has {} bytes for {len} flags", bytes.len()));
        }
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        };
        let bits = Self { len, words: bytes.chunks(8).map(word).collect() };
        let mut clean = bits.clone();
        clean.clear_tail();
        if clean == bits { Ok(bits) } else { Err(format!("has bits beyond its {len} flags")) }
    }

    fn clear_tail(&mut self) {
        if let Some(last) = self.words.last_mut()
            && !self.len.is_multiple_of(WORD)
        {
            *last &= (1 << (self.len % WORD)) - 1;
        }
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(flags: I) -> Self {
        let mut bits = Self { len: 0, words: Vec::new() };
        for flag in flags {
            if bits.len.is_multiple_of(WORD) {
                bits.words.push(0);
            }
            bits.len += 1;
            bits.set(bits.len - 1, flag);
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Mt19937;

    #[test]
    fn flags_of_every_length_are_counted_listed_and_read_back() {
        let mut random = Mt19937::new(3);
        for len in (0..=200).chain([4096, 4097]) {
            let flags: Vec<bool> = (0..len).map(|_| random.next_u32() & 1 == 1).collect();
            let bits: Bits = flags.iter().copied().collect();
            assert_eq!(bits.iter().collect::<Vec<_>>(), flags);
            assert_eq!(bits.count_ones(), flags.iter().filter(|flag| **flag).count());
            let zeros: Vec<usize> = (0..len).filter(|index| !flags[*index]).collect();
            assert_eq!(bits.zeros().collect::<Vec<_>>(), zeros);
            assert_eq!(bits.complement().count_ones(), zeros.len());
            assert_eq!(Bits::from_bytes(len, &bits.to_bytes()).unwrap(), bits);
            assert_eq!((bits.len(), Bits::new(len, true).count_ones()), (len, len));
        }
    }

    #[test]
    fn the_first_flag_is_the_lowest_bit() {
        let mut bits = Bits::new(10, false);
        bits.set(0, true);
        bits.set(9, true);
        assert_eq!(bits.to_bytes(), [1, 2]);
    }

    #[test]
    fn bytes_of_another_length_or_with_bits_beyond_the_end_are_refused() {
        assert_eq!(Bits::from_bytes(10, &[0]).unwrap_err(), "has 1 bytes for 10 flags");
        assert_eq!(Bits::from_bytes(8, &[0, 0]).unwrap_err(), "has 2 bytes for 8 flags");
        for bytes in [[0, 4], [255, 128]] {
            assert_eq!(Bits::from_bytes(10, &bytes).unwrap_err(), "has bits beyond its 10 flags");
        }
    }
}
