//! Tickets of one task on another.

use super::seeds;
use crate::report::{
    figure::{
        Figure, file_name,
        heat_map::{self, Panel},
    },
    transfer::{Transfer, Transferred},
};

/// Scores, and their share of the task's own ticket: targets are columns.
pub fn transfer(of: &Transfer) -> Figure {
    let (targets, sources) = (of.targets(), of.sources());
    let panel = |title, value: &dyn Fn(&Transferred) -> Option<f64>| {
        let of_source = |source| -> Vec<f64> {
            let cells = targets.iter().map(|target| of.cell(target, source).and_then(value));
            cells.map(|value| value.unwrap_or(f64::NAN)).collect()
        };
        let values: Vec<Vec<f64>> = sources.iter().map(|source| of_source(source)).collect();
        Panel {
            title,
            most: heat_map::largest(&values),
            values,
            rows: sources.iter().map(|source| source.name().to_owned()).collect(),
            columns: targets.iter().map(|target| (*target).to_owned()).collect(),
            row_name: "ticket of",
            column_name: "trained on",
            decimals: 2,
            strip: None,
        }
    };
    let what = format!("{} {}", of.method, of.level);
    let title = format!("Transfer of tickets: {what}");
    let most = of.cells.iter().map(|cell| cell.retrained.n).max().unwrap_or(0);
    Figure {
        name: file_name(&format!("transfer {what} {}", of.model)),
        caption: format!(
            "Tickets of {} in {}, found on one task and trained on another: development scores, and their share of the score of the \
             task's own ticket; means over up to {}. Pre-trained: the model's own smallest weights pruned at once.",
            what.trim_end(),
            of.model,
            seeds(most)
        ),
        svg: heat_map::draw(
            &[
                panel("score", &|cell| Some(cell.retrained.mean)),
                panel("relative to the own ticket", &|cell| cell.relative),
            ],
            &title,
        ),
        title,
    }
}
