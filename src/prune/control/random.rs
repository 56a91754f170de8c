//! A subnetwork that is drawn without regard to importance.

use super::draw::{Control, Ticket, by_kind, flags_of, generator, one};
use crate::{
    choice::choices,
    error::Result,
    prune::{Mask, Mt19937},
};

choices! {
    /// How a random subnetwork is drawn.
    pub enum RandomRule ("rule of control.random") {
        /// as many heads and as many FFNs as the ticket has
        Exact = "exact",
        /// each unit by itself with the ticket's share as probability, as published: the size matches on average only
        Bernoulli = "bernoulli",
    }
}

pub struct Random(pub RandomRule);

impl Control for Random {
    fn draw(&self, _: &Mask, tickets: &[Ticket], seed: u64) -> Result<Mask> {
        let good = one(tickets)?.mask;
        Ok(match self.0 {
            RandomRule::Exact => random(good, &mut generator(seed, 2)),
            RandomRule::Bernoulli => bernoulli(good, &mut numpy_generator(seed)),
        })
    }
}

/// As many units of each kind as `good`, every such mask equally likely.
fn random(good: &Mask, generator: &mut Mt19937) -> Mask {
    by_kind(good, |flags| {
        let kept = flags.iter().filter(|kept| **kept).count();
        flags_of(&generator.sample((0..flags.len()).collect(), kept), flags.len())
    })
}

/// Each unit independently with the probability kept / total of its kind, heads before FFNs, one uniform double each
/// (Prasanna et al. 2020, in code).
pub fn bernoulli(good: &Mask, generator: &mut Mt19937) -> Mask {
    by_kind(good, |flags| {
        let probability = f64::from(keep_probability(flags));
        flags.iter().map(|_| generator.next_f64() < probability).collect()
    })
}

/// Kept / total in single precision, as the mean of a float32 mask is computed by NumPy.
pub fn keep_probability(flags: &[bool]) -> f32 {
    flags.iter().filter(|kept| **kept).count() as f32 / flags.len() as f32
}

/// The stream of `numpy.random.seed(seed)`, which takes integers below 2³²; larger ones by their two words.
fn numpy_generator(seed: u64) -> Mt19937 {
    match u32::try_from(seed) {
        Ok(seed) => Mt19937::new(seed),
        Err(_) => Mt19937::from_key(&[seed as u32, (seed >> 32) as u32]),
    }
}
