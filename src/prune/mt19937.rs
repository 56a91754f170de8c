//! The Mersenne Twister, as NumPy's legacy `RandomState` and Python's `random` seed and read it.
//!
//! Source: Matsumoto and Nishimura 1998, "Mersenne Twister: a 623-dimensionally equidistributed uniform
//! pseudo-random number generator". Chosen because published random masks were drawn with it.

const N: usize = 624;
const M: usize = 397;

/// MT19937 with 32-bit output.
#[derive(Debug, Clone, PartialEq)]
pub struct Mt19937 {
    state: [u32; N],
    /// Next word of `state` to hand out; `N` = generate the next block first.
    next: usize,
}

impl Mt19937 {
    /// `init_genrand`: what `numpy.random.RandomState(seed)` does with a seed below 2³².
    pub fn new(seed: u32) -> Self {
        let mut state = [0; N];
        state[0] = seed;
        for i in 1..N {
            let previous = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// `init_by_array`: what Python's `random.seed` does with the little-endian 32-bit words of its seed.
    /// An empty key counts as `[0]`.
    pub fn from_key(key: &[u32]) -> Self {
        let key = if key.is_empty() { &[0][..] } else { key };
        let mut generator = Self::new(19_650_218);
        let state = &mut generator.state;
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_664_525);
            state[i] = (state[i] ^ mixed).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        for _ in 1..N {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_566_083_941);
            state[i] = (state[i] ^ mixed).wrapping_sub(i as u32);
            i += 1;
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        generator
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.generate();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `random_sample`: a double in [0, 1) with 53 random bits out of two words.
    pub fn next_f64(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// An unbiased draw from `0..bound` by masked rejection; 0 for a `bound` of 0 or 1.
    pub fn below(&mut self, bound: u32) -> u32 {
        let Some(highest) = bound.checked_sub(1).filter(|highest| *highest > 0) else { return 0 };
        let bits = u32::MAX >> highest.leading_zeros();
        loop {
            let draw = self.next_u32() & bits;
            if draw <= highest {
                return draw;
            }
        }
    }

    /// `count` of the items without replacement, each subset equally likely (Fisher-Yates, stopped early).
    /// All of them, when there are no more than `count`.
    pub fn sample(&mut self, mut items: Vec<usize>, count: usize) -> Vec<usize> {
        let count = count.min(items.len());
        for i in 0..count {
            let rest = (items.len() - i) as u32;
            items.swap(i, i + self.below(rest) as usize);
        }
        items.truncate(count);
        items
    }

    fn generate(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ twist;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_word_of_the_default_seed_is_the_one_the_cpp_standard_demands() {
        // ISO C++ [rand.predef]: the 10000th invocation of a default-constructed mt19937 gives 4123659995.
        let mut generator = Mt19937::new(5489);
        assert_eq!((0..10_000).map(|_| generator.next_u32()).last(), Some(4_123_659_995));
    }

    #[test]
    fn a_key_gives_the_words_of_the_authors_reference_output() {
        // First line of mt19937ar.out, init_by_array({0x123, 0x234, 0x345, 0x456}).
        let mut generator = Mt19937::from_key(&[0x123, 0x234, 0x345, 0x456]);
        let words: Vec<u32> = (0..5).map(|_| generator.next_u32()).collect();
        assert_eq!(words, [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783, 4_228_976_476]);
    }

    #[test]
    fn a_key_gives_the_doubles_of_python() {
        // python3 -c 'import random; random.seed(1337); print(random.random(), random.random())'
        let mut generator = Mt19937::from_key(&[1337]);
        assert_eq!(PYTHON, [generator.next_f64(), generator.next_f64()]);
    }

    const PYTHON: [f64; 2] = [0.6177528569514706, 0.5332655736050008];

    #[test]
    fn bounded_draws_stay_below_the_bound_and_are_even() {
        let mut generator = Mt19937::new(7);
        assert_eq!((generator.below(0), generator.below(1)), (0, 0));
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[generator.below(5) as usize] += 1;
        }
        // The standard deviation of a count is 89: five of them on either side.
        assert!(counts.iter().all(|count| (9_550..10_450).contains(count)), "{counts:?}");
    }

    #[test]
    fn every_subset_is_drawn_about_equally_often() {
        let mut generator = Mt19937::new(11);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..60_000 {
            let mut subset = generator.sample(vec![0, 1, 2, 3], 2);
            subset.sort_unstable();
            *counts.entry(subset).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (9_540..10_460).contains(count)), "{counts:?}");
        assert_eq!(generator.sample(vec![4, 2], 9).len(), 2);
    }
}
