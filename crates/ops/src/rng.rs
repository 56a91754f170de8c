//! Counter-based random numbers: Philox 4×32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
//!
//! A number is a pure function of (seed, step, site, index). There is no state to save, the backward pass finds the
//! mask of the forward pass again, and nothing depends on the order in which threads run.

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Counters that dropout handles side by side.
pub const LANES: usize = 16;

/// Philox 4×32-10 for `N` counters that differ in their first word: `[word][lane]`.
#[inline(always)]
pub fn philox_lanes<const N: usize>(first: [u32; N], rest: [u32; 3], seed: u64) -> [[u32; N]; 4] {
    let mut key = [seed as u32, (seed >> 32) as u32];
    let mut c = [first, [rest[0]; N], [rest[1]; N], [rest[2]; N]];
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let mut next = [[0u32; N]; 4];
        for lane in 0..N {
            let p0 = u64::from(MULTIPLIER[0]) * u64::from(c[0][lane]);
            let p1 = u64::from(MULTIPLIER[1]) * u64::from(c[2][lane]);
            next[0][lane] = (p1 >> 32) as u32 ^ c[1][lane] ^ key[0];
            next[1][lane] = p1 as u32;
            next[2][lane] = (p0 >> 32) as u32 ^ c[3][lane] ^ key[1];
            next[3][lane] = p0 as u32;
        }
        c = next;
    }
    c
}

/// Philox 4×32-10 for one counter.
pub fn philox(counter: [u32; 4], seed: u64) -> [u32; 4] {
    let words = philox_lanes([counter[0]], [counter[1], counter[2], counter[3]], seed);
    words.map(|[word]| word)
}

/// What random numbers are for; part of the counter, so that no two purposes share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    EmbeddingDropout = 1,
    AttentionDropout = 2,
    AttentionOutputDropout = 3,
    FfnOutputDropout = 4,
    ClassifierDropout = 5,
    Initialisation = 16,
    DataOrder = 17,
    Split = 18,
    DemoTask = 20,
    Masking = 21,
    Selection = 22,
    Fraction = 23,
}

/// A sequential reader of one stream, for the few uses that want numbers one after another.
pub struct Stream {
    seed: u64,
    id: [u32; 3],
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of `purpose` under `seed`; `index` tells apart the streams of one purpose (an epoch, a tensor).
    pub fn new(seed: u64, purpose: Purpose, index: u32) -> Self {
        Self::with(seed, purpose, index, 0)
    }

    /// A stream told apart by two indices (an epoch and a sequence); with a second one of 0 it is [`Self::new`].
    pub fn with(seed: u64, purpose: Purpose, index: u32, second: u32) -> Self {
        Self { seed, id: [second, purpose as u32, index], block: 0, words: [0; 4], used: 4 }
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox([self.block, self.id[0], self.id[1], self.id[2]], self.seed);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform in (0, 1), 53 bits, never an end.
    pub fn uniform(&mut self) -> f64 {
        let bits = (u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())) >> 11;
        (bits as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Uniform in 0..n without bias (Lemire's rejection), n > 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let reject_under = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(n);
            if product as u32 >= reject_under {
                return (product >> 32) as u32;
            }
        }
    }

    /// A normal number with mean 0 and deviation 1 (Box–Muller, one of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// Shuffles in place (Fisher–Yates, from the back).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference implementation (Random123's `kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_known_answers() {
        assert_eq!(philox([0; 4], 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(philox([ones; 4], u64::MAX), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let answer = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(pi, 0x299f_31d0_a409_3822), answer);
    }

    #[test]
    fn a_stream_reads_the_blocks_of_its_own_counter() {
        let draw = |mut stream: Stream| -> Vec<u32> { (0..8).map(|_| stream.next_u32()).collect() };
        let blocks = |counter: [u32; 3]| -> Vec<u32> {
            (0..2).flat_map(|block| philox([block, counter[0], counter[1], counter[2]], 7)).collect()
        };
        assert_eq!(draw(Stream::new(7, Purpose::DataOrder, 3)), blocks([0, 17, 3]));
        assert_eq!(draw(Stream::with(7, Purpose::Masking, 3, 0)), blocks([0, 21, 3]));
        assert_eq!(draw(Stream::with(7, Purpose::Masking, 3, 5)), blocks([5, 21, 3]));
    }

    #[test]
    fn below_is_uniform_and_a_shuffle_is_a_permutation() {
        let mut stream = Stream::new(7, Purpose::Split, 0);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6) as usize] += 1;
        }
        // 10 000 expected in each; the deviation of a count is about 91.
        assert!(counts.iter().all(|c| c.abs_diff(10_000) < 500), "{counts:?}");
        let mut items: Vec<u32> = (0..1000).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut stream = Stream::new(3, Purpose::Initialisation, 1);
        let n = 40_000;
        let x: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = x.iter().sum::<f64>() / f64::from(n);
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "mean {mean}, variance {variance}");
    }
}
