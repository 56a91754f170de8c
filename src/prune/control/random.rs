//! A subnetwork that is drawn without regard to importance.

use super::draw::{Control, Ticket, by_kind, flags_of, generator, one};
use crate::{
    choice::choices,
    error::Result,
    ops::select::{Order, Part, take},
    prune::{Bits, Count, Kind, Mask, Mt19937, Site},
};

choices! {
    /// How a random subnetwork is drawn.
    pub enum RandomRule ("rule of control.random") {
        /// as many heads and as many FFNs as the ticket has
        Exact = "exact",
        /// each unit by itself with the ticket's share as probability, as published: the size matches on average only
        Bernoulli = "bernoulli",
        /// as many units as are pruned are drawn with replacement, so that fewer are pruned (Liang et al. 2021, in code)
        Replacement = "replacement",
    }
}

choices! {
    /// How many single weights a random mask prunes of each tensor.
    pub enum WeightDraw ("rule of control.weights") {
        /// any, of all tensors together
        Global = "global",
        /// as many as the ticket
        Layer = "layer",
        /// the same share of each
        Even = "even",
    }
}

/// How units and how single weights are drawn.
pub struct Random(pub RandomRule, pub WeightDraw);

impl Control for Random {
    fn draw(&self, _: &Mask, tickets: &[Ticket], seed: u64) -> Result<Mask> {
        let good = one(tickets)?.mask;
        let units = match self.0 {
            RandomRule::Exact => random(good, &mut generator(seed, 2)),
            RandomRule::Bernoulli => bernoulli(good, &mut numpy_generator(seed)),
            RandomRule::Replacement => with_replacement(good, &mut generator(seed, 5)),
        };
        Ok(weights(&units, self.1, seed))
    }
}

/// Draws the single weights that are pruned, as many as in `mask`.
fn weights(mask: &Mask, rule: WeightDraw, seed: u64) -> Mask {
    let sites: Vec<(&Site, &Bits)> = mask.sites(Kind::Weights).collect();
    let Count { kept, total } = mask.count(Kind::Weights);
    let draw = |lens: &[usize], n, seed| {
        // Whatever their values: one buffer serves for all tensors.
        let values = vec![0.0; lens.iter().copied().max().unwrap_or(0)];
        let parts: Vec<Part> = lens.iter().map(|len| Part { values: &values[..*len], left: &[] }).collect();
        take(&parts, n, Order::Random(seed))
    };
    let lens: Vec<usize> = sites.iter().map(|(_, bits)| bits.len()).collect();
    // Each tensor has draws of its own.
    let own =
        |at: usize, n: usize| draw(&lens[at..=at], n, seed.wrapping_add((at as u64 + 1) << 32)).concat();
    let left: Vec<Vec<u64>> = match rule {
        WeightDraw::Global => draw(&lens, total - kept, seed),
        WeightDraw::Layer => {
            (0..sites.len()).map(|at| own(at, lens[at] - sites[at].1.count_ones())).collect()
        }
        WeightDraw::Even => {
            let share = (total - kept) as f64 / total.max(1) as f64;
            (0..sites.len()).map(|at| own(at, (share * lens[at] as f64).round() as usize)).collect()
        }
    };
    let drawn = sites.iter().zip(left);
    drawn.fold(mask.clone(), |mask, ((site, bits), words)| {
        mask.with((*site).clone(), Bits::from_words(bits.len(), words))
    })
}

/// Draws as many units of each kind as `good` prunes, each from all of them, and prunes those that were drawn.
fn with_replacement(good: &Mask, generator: &mut Mt19937) -> Mask {
    by_kind(good, |flags| {
        let pruned = flags.iter().filter(|kept| !**kept).count();
        let mut drawn = vec![true; flags.len()];
        (0..pruned).for_each(|_| drawn[(generator.next_f64() * flags.len() as f64) as usize] = false);
        drawn
    })
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
