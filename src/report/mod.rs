//! What many records say together: tables, statistics, figures.

mod agreement;
mod compared;
mod comparison;
mod contents;
pub mod figure;
mod group;
mod levels;
mod matching;
mod modes;
mod outside;
mod page;
mod predictions;
mod published;
#[expect(clippy::module_inception, reason = "the report that the room is about")]
mod report;
mod run;
mod sensitivity;
pub mod statistics;
pub mod super_ticket;
pub mod survivors;
pub mod table;
pub mod tables;
mod task_share;
mod tickets;
mod training;
mod transfer;

pub use compared::{Compared, compared};
pub use contents::{data_labels, model_labels};
pub use levels::{Levels, levels};
pub use matching::{Highest, highest_of};
pub use modes::place;
pub use outside::{lm_eval, mlflow};
pub use page::page;
pub use published::{Paper, Published, Target};
pub use report::{Options, Report, Warning};
pub use run::{Run, Runs, differing};
