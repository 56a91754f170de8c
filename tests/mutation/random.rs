//! Numbers that are the same on every machine.

/// SplitMix64 (Steele et al. 2014).
pub struct Random(u64);

impl Random {
    /// Of one case: the same reader, seed and number give the same numbers.
    pub fn of(reader: &str, seed: u64, number: u64) -> Self {
        let name = blake3::hash(reader.as_bytes());
        let name = u64::from_le_bytes(name.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
        let mut own = Self(name ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self(own.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `below`, which is not 0.
    pub fn below(&mut self, below: usize) -> usize {
        (self.next() % below as u64) as usize
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn of_list<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// One of the words.
    pub fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }
}
