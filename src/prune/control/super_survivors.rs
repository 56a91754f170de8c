//! Units that survive in every seed, and their controls of the same size (Prasanna et al. 2020, section 5, and their
//! code). One mask for all seeds.

use super::draw::{Control, Ticket, flags_of, generator};
use crate::{
    error::{Error, Result},
    prune::Mask,
};

/// Which super-survivors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuperSurvivors {
    /// The units that every ticket keeps.
    Good,
    /// As many: of those that every ticket prunes. Where they are too few, all of them and others that some tickets prune;
    /// where these are too few as well, any others.
    Bad,
    /// As many, of those that are in neither of the two; of all units where these are too few.
    Random,
}

impl Control for SuperSurvivors {
    fn of_seeds(&self) -> bool {
        true
    }

    fn draw(&self, whole: &Mask, tickets: &[Ticket], seed: u64) -> Result<Mask> {
        if tickets.is_empty() {
            return Err(Error::internal("super-survivors were asked for of no ticket"));
        }
        let all = |of: &dyn Fn(&Mask) -> Mask| {
            tickets.iter().try_fold(whole.clone(), |mask, ticket| mask.intersect(&of(ticket.mask)))
        };
        let (always, never) = (all(&Mask::clone)?, all(&Mask::complement)?);
        let (mut of_bad, mut of_random) = (generator(seed, 4), generator(seed, 6));
        Ok(always.kinds().into_iter().fold(always.clone(), |mask, kind| {
            let (kept, pruned) = (always.flags(kind), never.flags(kind));
            let group = |wanted: &dyn Fn(bool, bool) -> bool| -> Vec<usize> {
                (0..kept.len()).filter(|at| wanted(kept[*at], pruned[*at])).collect()
            };
            let (never, some) = (group(&|_, pruned| pruned), group(&|kept, pruned| !kept && !pruned));
            let (all, size) = (group(&|_, _| true), kept.iter().filter(|kept| **kept).count());
            let mut bad = || {
                let mut chosen = of_bad.sample(never.clone(), size.min(never.len()));
                let rest = size - chosen.len();
                let others = || all.iter().copied().filter(|unit| !never.contains(unit)).collect();
                let pool = if some.len() >= rest { some.clone() } else { others() };
                chosen.extend(of_bad.sample(pool, rest));
                flags_of(&chosen, kept.len())
            };
            let flags = match self {
                Self::Good => kept.clone(),
                Self::Bad => bad(),
                Self::Random => {
                    let bad = bad();
                    let pool: Vec<usize> =
                        all.iter().copied().filter(|unit| !kept[*unit] && !bad[*unit]).collect();
                    let pool = if pool.len() >= size { pool } else { all };
                    flags_of(&of_random.sample(pool, size), kept.len())
                }
            };
            mask.with_flags(kind, &flags)
        }))
    }
}
