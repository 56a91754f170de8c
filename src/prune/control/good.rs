//! The ticket itself.

use super::draw::{Control, Ticket, one};
use crate::{error::Result, prune::Mask};

pub struct Good;

impl Control for Good {
    fn draw(&self, _: &Mask, tickets: &[Ticket], _: u64) -> Result<Mask> {
        Ok(one(tickets)?.mask.clone())
    }
}
