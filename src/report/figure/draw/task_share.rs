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
    let panel = |title, most: Option<f64>, value: &dyn Fn(&Shared) -> f64| {
        let (heads, ffns) = (column(&of.heads, value), column(&of.ffns, value));
        let most = most.unwrap_or_else(|| heat_map::largest(&[heads.clone(), ffns.clone()]));
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
    // Of all tasks one scale; a unit that hardly any task needs, and one of them alone, must not darken all others.
    let most = (3.0 / of.tasks.len() as f64).min(1.0);
    let mut panels = vec![panel("ticket importance", None, &|unit| unit.importance)];
    let titles: Vec<String> = of.tasks.iter().map(|task| format!("share of {task}")).collect();
    let share = |(n, title)| panel(title, Some(most), &move |unit| unit.shares[n]);
    panels.extend(titles.iter().map(String::as_str).enumerate().map(share));
    let title = format!("Task shares: {}", of.method);
    let seeds: Vec<String> = of.tasks.iter().zip(&of.n).map(|(task, n)| format!("{task} {n}")).collect();
    Figure {
        name: file_name(&format!("task share {} {}", of.method, of.model)),
        caption: format!(
            "Scores of the heads and FFNs of {} before anything is pruned ({}), mean over seeds ({}): their mean over the tasks, and \
             each task's part of their sum. The tasks have one scale, which ends at three times an even part or at the whole. Layers and heads count from 1.",
            of.model,
            of.method,
            seeds.join(", ")
        ),
        svg: heat_map::draw(&panels, &title),
        title,
    }
}
