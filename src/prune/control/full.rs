//! The whole model once more: what retraining alone gives.

use super::draw::{Control, Ticket};
use crate::{error::Result, prune::Mask};

pub struct Full;

impl Control for Full {
    fn draw(&self, whole: &Mask, _: &[Ticket], _: u64) -> Result<Mask> {
        Ok(whole.clone())
    }
}
