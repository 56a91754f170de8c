//! Scores of units by task.

use super::text;
use crate::report::{
    table::{Cell, Column, Shape, Table},
    task_share::{Shared, TaskShares},
};

/// A row for each unit and task.
pub fn task_share(all: &[TaskShares]) -> Table {
    let columns = vec![
        text("method", "method"),
        text("model", "model"),
        text("unit", "unit"),
        Column::new("layer", "layer", Shape::Count),
        Column::new("head", "head", Shape::Count),
        Column::new("importance", "ticket importance", Shape::Decimals(4)),
        text("task", "task"),
        Column::new("n", "n", Shape::Count),
        Column::new("share", "task share", Shape::Decimals(3)),
    ];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for one in all {
        let heads = one.heads.iter().enumerate();
        let heads = heads.map(|(n, unit)| ("head", n / one.width + 1, Some(n % one.width + 1), unit));
        let ffns = one.ffns.iter().enumerate().map(|(n, unit)| ("FFN", n + 1, None, unit));
        for (kind, layer, head, Shared { importance, shares }) in heads.chain(ffns) {
            rows.extend(one.tasks.iter().zip(&one.n).zip(shares).map(|((task, n), share)| -> Vec<Cell> {
                vec![
                    one.method.as_str().into(),
                    one.model.as_str().into(),
                    kind.into(),
                    layer.into(),
                    head.into(),
                    (*importance).into(),
                    task.as_str().into(),
                    (*n).into(),
                    share.is_finite().then_some(*share).into(),
                ]
            }));
        }
    }
    let note = "Scores of the units before anything is pruned, mean over n seeds. Ticket importance: their mean over the tasks. Task \
                share: a task's part of their sum (Liang et al. 2021, Figure 6). Layers and heads count from 1.";
    Table {
        name: "task_share",
        caption: "How important units are to several tasks, and to which.".to_owned(),
        notes: if rows.is_empty() { Vec::new() } else { vec![note.to_owned()] },
        columns,
        rows,
    }
    .without_empty()
}
