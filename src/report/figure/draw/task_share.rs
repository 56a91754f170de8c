//! How important units are to several tasks, and to which.

use super::survivors::{numbers, rows};
use crate::report::{
    figure::{
        Figure, file_name,
        heat_map::{self, Panel},
    },
    task_share::{Shared, TaskShares},
};

/// Ticket importance, then the share of each task.
pub fn task_share(of: &TaskShares) -> Figure {
    let column =
        |units: &[Shared], value: &dyn Fn(&Shared) -> f64| units.iter().map(value).collect::<Vec<f64>>();
    let panel = |title, value: &dyn Fn(&Shared) -> f64| {
        let (heads, ffns) = (column(&of.heads, value), column(&of.ffns, value));
        let most = heat_map::largest(&[heads.clone(), ffns.clone()]);
        Panel {
            title,
            rows: numbers(heads.len() / of.width),
            values: rows(&heads, of.width),
            columns: numbers(of.width),
            row_name: "layer",
            column_name: "head",
            most,
            decimals: 2,
            strip: (!ffns.is_empty()).then_some(("FFN", ffns)),
        }
    };
    let mut panels = vec![panel("ticket importance", &|unit| unit.importance)];
    let titles: Vec<String> = of.tasks.iter().map(|task| format!("share of {task}")).collect();
    panels.extend(titles.iter().enumerate().map(|(n, title)| panel(title, &move |unit| unit.shares[n])));
    let title = format!("Task shares: {}", of.method);
    let seeds: Vec<String> = of.tasks.iter().zip(&of.n).map(|(task, n)| format!("{task} {n}")).collect();
    Figure {
        name: file_name(&format!("task share {} {}", of.method, of.model)),
        caption: format!(
            "Scores of the heads and FFNs of {} before anything is pruned ({}), mean over seeds ({}): their mean over the tasks, and \
             each task's part of their sum. Each panel has its own scale. Layers and heads count from 1.",
            of.model,
            of.method,
            seeds.join(", ")
        ),
        svg: heat_map::draw(&panels, &title),
        title,
    }
}
