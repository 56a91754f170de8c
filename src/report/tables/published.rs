//! Published numbers beside ours.

use super::{number, text};
use crate::report::{
    published::{Beside, Published},
    table::{Cell, Column, Join, Shape, Table},
};

/// A row for each published number of our tasks and each group of ours that it belongs to.
pub fn published(of: &Published, (rows, alone): &(Vec<Beside>, usize)) -> Table {
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
        let Beside { number, model, ours, our_model, of: settings } = beside;
        vec![
            number.task.as_str().into(),
            number.method.as_deref().into(),
            number.mode.as_str().into(),
            number.part.as_str().into(),
            number.metric.as_str().into(),
            number.mean.into(),
            number.std.into(),
            model.as_str().into(),
            ours.mean.into(),
            ours.deviation.into(),
            ours.n.into(),
            our_model.as_str().into(),
            settings.as_str().into(),
            (ours.mean - number.mean).into(),
            beside.verdict().into(),
            of.verified.into(),
        ]
    };
    let verified = if of.verified { "" } else { " NOT VERIFIED against the paper." };
    let mut notes = vec![format!("Source: {}, {}.", of.source, of.place)];
    if *alone > 0 {
        notes.push(format!("{alone} more published scores of these tasks have no runs here."));
    }
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
