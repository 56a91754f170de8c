//! What many records say together.

mod levels;
pub mod super_ticket;

pub use levels::{Levels, levels};
