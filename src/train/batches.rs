//! Which examples the steps of an epoch take.

use crate::{
    choice::choices,
    ops::rng::{Purpose, Stream},
};

choices! {
    /// How the examples of an epoch are put into batches.
    pub enum Batches ("setting of train.batches", default Shuffled) {
        /// in an order that is drawn anew for each epoch
        Shuffled = "shuffled",
        /// neighbouring rows of the file; the order of the batches is drawn once, for all epochs (Liang et al. 2021, in code)
        Contiguous = "contiguous",
    }
}

impl Batches {
    /// The batches of `size` of one epoch, one of which may be smaller. They depend on seed and epoch alone.
    pub fn of(self, examples: usize, size: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
        let shuffle = |order: &mut [usize], epoch: usize| {
            Stream::new(seed, Purpose::DataOrder, epoch as u32).shuffle(order);
        };
        match self {
            Self::Shuffled => {
                let mut order: Vec<usize> = (0..examples).collect();
                shuffle(&mut order, epoch);
                order.chunks(size).map(<[usize]>::to_vec).collect()
            }
            Self::Contiguous => {
                let mut order: Vec<usize> = (0..examples.div_ceil(size)).collect();
                shuffle(&mut order, 0);
                order.into_iter().map(|n| (n * size..examples.min((n + 1) * size)).collect()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;

    #[test]
    fn every_example_is_in_one_batch_of_each_epoch() {
        for batches in Batches::all() {
            for (examples, epoch) in [(0, 0), (1, 2), (32, 0), (33, 1), (100, 3)] {
                let found = batches.of(examples, 32, 7, epoch);
                assert_eq!(found.len(), examples.div_ceil(32));
                assert!(found.iter().filter(|batch| batch.len() != 32).count() <= 1);
                let mut all = found.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..examples), "{batches}");
            }
        }
    }

    #[test]
    fn contiguous_batches_are_neighbours_in_an_order_that_the_seed_decides_once() {
        let of = |seed, epoch| Batches::Contiguous.of(1000, 8, seed, epoch);
        let found = of(1, 0);
        assert!(found.iter().all(|batch| batch.windows(2).all(|pair| pair[1] == pair[0] + 1)));
        assert!(found.iter().all(|batch| batch[0].is_multiple_of(8)));
        assert!(!found.is_sorted());
        assert_eq!(found, of(1, 5));
        assert_ne!(found, of(2, 0));
        let shuffled = |seed, epoch| Batches::Shuffled.of(1000, 8, seed, epoch);
        assert_ne!(shuffled(1, 0), shuffled(1, 1));
        assert_ne!(shuffled(1, 0), shuffled(2, 0));
    }
}
