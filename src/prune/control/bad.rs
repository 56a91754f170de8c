//! A subnetwork of the ticket's size, out of pruned units as far as they reach; or what the search's own rule prunes last.

use super::draw::{Control, Ticket, by_kind, flags_of, generator, one};
use crate::{
    error::{Error, Result},
    prune::{Mask, Mt19937},
};

pub struct Bad;

impl Control for Bad {
    fn draw(&self, _: &Mask, tickets: &[Ticket], seed: u64) -> Result<Mask> {
        let ticket = one(tickets)?;
        Ok(match ticket.opposite {
            Some(opposite) => opposite.clone(),
            None if ticket.mask.holds() => {
                return Err(Error::usage(
                    "this ticket is of single weights, and which of them are large it does not say. Take the mode random, or \
                     the method magnitude.",
                ));
            }
            None => bad(ticket.mask, &mut generator(seed, 1)),
        })
    }
}

/// As many units as `good`, each kind apart: all pruned ones and a random rest of the good ones, or a random subset of the
/// pruned ones where these suffice (Prasanna et al. 2020, in code).
pub fn bad(good: &Mask, generator: &mut Mt19937) -> Mask {
    by_kind(good, |flags| {
        let (kept, pruned): (Vec<usize>, Vec<usize>) = (0..flags.len()).partition(|index| flags[*index]);
        let from_good = bad_from_good(kept.len(), flags.len());
        let mut chosen = generator.sample(pruned, kept.len() - from_good);
        chosen.extend(generator.sample(kept, from_good));
        flags_of(&chosen, flags.len())
    })
}

/// Units that a bad mask has to take from the good one, when the pruned ones do not reach its size
/// (Prasanna et al. 2020, in code): max(0, kept - pruned).
pub fn bad_from_good(kept: usize, total: usize) -> usize {
    kept.saturating_sub(total - kept)
}
