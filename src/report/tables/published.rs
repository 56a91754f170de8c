//! Published numbers beside ours.

use super::{number, text};
use crate::{
    choice::Choice,
    report::{
        published::{Beside, Published},
        table::{Cell, Column, Join, Shape, Table},
    },
};
use std::collections::BTreeSet;

/// A row for each published number of our tasks and each group of ours that it belongs to.
pub fn published(of: &Published, mut rows: Vec<Beside>) -> Table {
    let tasks: BTreeSet<String> =
        rows.iter().filter(|row| row.ours.is_some()).map(|row| row.number.task.clone()).collect();
    rows.retain(|row| tasks.contains(&row.number.task));
    let of_tasks = rows.len();
    rows.retain(|row| row.ours.is_some());
    let alone = of_tasks - rows.len();
    let mut table = beside(of, &rows);
    if alone > 0 {
        table.notes.insert(1, format!("{alone} more published scores of these tasks have no runs here."));
    }
    table
}

/// A row for each of these, with runs of ours or without.
pub fn beside(of: &Published, rows: &[Beside]) -> Table {
    let columns = vec![
        text("task", "task"),
        text("method", "method"),
        text("mode", "mode"),
        Column::new("sparsity", "sparsity", Shape::Decimals(1)),
        text("setting", "trained"),
        Column::new("fraction", "data", Shape::Decimals(3)),
        text("part", "model of"),
        text("metric", "metric"),
        text("deviation_over", "deviation over"),
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
        let Beside { number, model, ours, .. } = beside;
        let mean = ours.as_ref().map(|ours| ours.mean);
        vec![
            number.task.as_str().into(),
            number.method.as_deref().into(),
            number.mode.as_str().into(),
            number.sparsity.into(),
            number.setting.unusual().into(),
            number.fraction.into(),
            number.part.as_str().into(),
            number.metric.as_str().into(),
            number.deviation_over.map(|over| over.name()).into(),
            number.mean.into(),
            number.std.into(),
            model.as_str().into(),
            mean.map(|mean| mean.mean).into(),
            mean.and_then(|mean| mean.deviation).into(),
            mean.map(|mean| mean.n).into(),
            ours.as_ref().map(|ours| ours.model.as_str()).into(),
            ours.as_ref().map(|ours| ours.of.as_str()).into(),
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
