//! What controls are, and what they draw with.

use crate::{
    error::{Error, Result},
    prune::{Mask, Mt19937, mask::Kind},
};

/// A subnetwork that a good ticket is compared with, of its size where that is possible.
pub trait Control {
    /// Whether it is drawn from the tickets of several seeds, in place of that of one.
    fn of_seeds(&self) -> bool {
        false
    }

    /// The mask; the same arguments always give the same one. `whole` is the unpruned network.
    ///
    /// # Errors
    /// When the tickets are not as many as it needs.
    fn draw(&self, whole: &Mask, tickets: &[Ticket], seed: u64) -> Result<Mask>;
}

/// What a search found, and the kinds of units that it may prune.
#[derive(Debug, Clone, Copy)]
pub struct Ticket<'a> {
    pub mask: &'a Mask,
    /// As large a mask, of what the same rule prunes last, where the search says so.
    pub opposite: Option<&'a Mask>,
    pub searched: &'a [Kind],
}

/// The one ticket of a control that needs no more.
pub(super) fn one<'a>(tickets: &[Ticket<'a>]) -> Result<Ticket<'a>> {
    match tickets {
        [ticket] => Ok(*ticket),
        _ => Err(Error::internal(format!("a control of one ticket was given {}", tickets.len()))),
    }
}

/// Draws the flags of each kind of units anew, heads first, then FFNs, then FFN neurons.
pub(super) fn by_kind(ticket: &Mask, mut draw: impl FnMut(&[bool]) -> Vec<bool>) -> Mask {
    let kinds = ticket.kinds().into_iter().filter(|kind| *kind < Kind::Blocks);
    kinds.fold(ticket.clone(), |mask, kind| {
        let flags = draw(&ticket.flags(kind));
        mask.with_flags(kind, &flags)
    })
}

pub(super) fn flags_of(chosen: &[usize], total: usize) -> Vec<bool> {
    let mut flags = vec![false; total];
    chosen.iter().for_each(|index| flags[*index] = true);
    flags
}

/// Streams of one seed that differ by control, so that bad and random masks are not correlated.
pub(super) fn generator(seed: u64, stream: u32) -> Mt19937 {
    Mt19937::from_key(&[seed as u32, (seed >> 32) as u32, stream])
}
