//! Exactly the pruned units: a search for heads says nothing about FFNs, so kinds that were not searched stay whole.

use super::draw::{Control, Ticket, one};
use crate::{error::Result, prune::Mask};

pub struct Inverse;

impl Control for Inverse {
    fn draw(&self, _: &Mask, tickets: &[Ticket], _: u64) -> Result<Mask> {
        let Ticket { mask, searched, .. } = one(tickets)?;
        let complement = mask.complement();
        let searched = searched.iter().map(|kind| (*kind, complement.flags(*kind)));
        Ok(searched.fold(mask.clone(), |mask, (kind, flags)| mask.with_flags(kind, &flags)))
    }
}
