//! Tickets of other tasks.

use super::text;
use crate::report::{
    table::{Column, Join, Shape, Table},
    transfer::{Transfer, Transferred},
};

/// A row for each ticket and the task that it is trained on.
pub fn transfer(all: &[Transfer]) -> Table {
    let columns = vec![
        text("task", "task"),
        text("ticket_of", "ticket of"),
        text("method", "method"),
        text("model", "model"),
        text("level", "level"),
        text("settings", "settings that differ"),
        text("metric", "metric"),
        Column::new("n", "n", Shape::Count),
        Column::new("full_mean", "full", Shape::Decimals(4)),
        Column::joined("full_std", Shape::Decimals(4), Join::Deviation),
        Column::new("retrained_mean", "retrained", Shape::Decimals(4)),
        Column::joined("retrained_std", Shape::Decimals(4), Join::Deviation),
        Column::new("relative", "of the own ticket", Shape::Percent(1)),
    ];
    let row = |of: &Transfer, cell: &Transferred| {
        vec![
            cell.target.as_str().into(),
            cell.source.name().into(),
            of.method.as_str().into(),
            of.model.as_str().into(),
            of.level.as_str().into(),
            cell.settings.as_str().into(),
            cell.metric.as_str().into(),
            cell.retrained.n.into(),
            cell.full.mean.into(),
            cell.full.deviation.into(),
            cell.retrained.mean.into(),
            cell.retrained.deviation.into(),
            cell.relative.into(),
        ]
    };
    let rows: Vec<_> = all.iter().flat_map(|of| of.cells.iter().map(move |cell| row(of, cell))).collect();
    let note = "Pre-trained: the smallest weights of the pre-trained model, pruned at once (omp). Of the own ticket: the share of its \
                score, over the seeds that both have.";
    Table {
        name: "transfer",
        caption: "Tickets of other tasks, retrained, beside the task's own (Chen et al. 2020, Figure 4)."
            .to_owned(),
        columns,
        notes: if rows.is_empty() { Vec::new() } else { vec![note.to_owned()] },
        rows,
    }
    .without_empty()
}
