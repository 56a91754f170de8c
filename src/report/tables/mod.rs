//! The tables of a report.

mod agreement;
mod comparisons;
mod masks;
mod matching;
mod published;
mod results;
mod runs;
mod sensitivity;
mod task_share;
mod transfer;

pub use agreement::agreement;
pub use comparisons::comparisons;
pub use masks::masks;
pub use matching::{highest, matching};
pub use published::{beside, published};
pub use results::results;
pub use runs::runs;
pub use sensitivity::sensitivity;
pub use task_share::task_share;
pub use transfer::transfer;

use super::table::{Cell, Column, Shape};

fn text(key: &'static str, title: &'static str) -> Column {
    Column::new(key, title, Shape::Text)
}

fn number(key: &'static str, title: &'static str, decimals: usize) -> Column {
    Column::new(key, title, Shape::Decimals(decimals))
}

fn p(key: &'static str, title: &'static str) -> Column {
    Column::new(key, title, Shape::P)
}

/// Task, method and what else a row is of.
fn of(task: &str, method: &str, level: &str, settings: &str) -> Vec<Cell> {
    vec![task.into(), method.into(), level.into(), settings.into()]
}

fn of_columns() -> Vec<Column> {
    vec![
        text("task", "task"),
        text("method", "method"),
        text("level", "level"),
        text("settings", "settings that differ"),
    ]
}
