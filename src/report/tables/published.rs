//! Published numbers beside ours.

use super::{number, text};
use crate::report::{
    published::{Beside, Published},
    table::{Cell, Column, Join, Shape, Table},
};

/// A row for each published number of our tasks and each group of ours that it belongs to.
pub fn published(of: &Published, rows: &[Beside]) -> Table {
    let columns = vec![
        text("task", "task"),
        text("method", "method"),
        text("mode", "mode"),
        text("part", "model of"),
        text("metric", "metric"),
        number("published_mean", "published", 4),
        Column::joined("published_std", Shape::Decimals(4), Join::Deviation),
        text("published_model", "by"),
        number("ours_mean", "ours", 4),
        Column::joined("ours_std", Shape::Decimals(4), Join::Deviation),
        Column::new("n", "n", Shape::Count),
        text("ours_model", "by"),
        text("settings", "of"),
        Column::new("difference", "difference", Shape::Signed(4)),
        text("verdict", "verdict"),
        Column::hidden("verified", Shape::Flag),
    ];
    let row = |beside: &Beside| -> Vec<Cell> {
        let Beside { number, model, ours } = beside;
        let mean = ours.as_ref().map(|(mean, ..)| *mean);
        vec![
            number.task.as_str().into(),
            number.method.as_deref().into(),
            number.mode.as_str().into(),
            number.part.as_str().into(),
            number.metric.as_str().into(),
            number.mean.into(),
            number.std.into(),
            model.as_str().into(),
            mean.map(|mean| mean.mean).into(),
            mean.and_then(|mean| mean.deviation).into(),
            mean.map(|mean| mean.n).into(),
            ours.as_ref().map(|(_, model, _)| model.as_str()).into(),
            ours.as_ref().map(|(_, _, settings)| settings.as_str()).into(),
            mean.map(|mean| mean.mean - number.mean).into(),
            beside.verdict().into(),
            of.verified.into(),
        ]
    };
    let verified = if of.verified { "" } else { " NOT VERIFIED against the paper." };
    let mut notes = vec![format!("Source: {}, {}.", of.source, of.place)];
    notes.extend(of.note.iter().map(|note| format!("Note: {note}.")));
    Table {
        name: "published",
        caption: format!(
            "Published scores beside ours; a difference of models is part of every difference.{verified}"
        ),
        columns,
        rows: rows.iter().map(row).collect(),
        notes,
    }
    .without_empty()
}
