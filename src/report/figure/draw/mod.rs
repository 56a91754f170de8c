//! Which figures a report has, and their captions.

mod curves;
mod importances;
mod scores;
mod survivors;
mod task_share;
mod training;

use super::Figure;
use crate::{
    error::Result,
    report::{
        group::{Group, families},
        report::Report,
    },
};
use curves::{levels, weights_left};
use importances::importances;
use scores::scores;
use survivors::{over_tasks, survivors};
use task_share::task_share;
use training::training;

/// All figures that the records allow. Those of importances need the stages of the tickets (`stages`).
///
/// # Errors
/// Data: a ticket is not in the store any more, or is damaged.
pub fn figures(report: &Report, stages: bool) -> Result<Vec<Figure>> {
    let mut all = Vec::new();
    all.extend(scores(&report.groups));
    let good: Vec<&Group> = report
        .groups
        .iter()
        .filter(|group| group.mode == "good" && !group.runs[0].heads.is_empty())
        .collect();
    all.extend(good.iter().filter_map(|group| survivors(group)));
    all.extend(over_tasks(&good));
    all.extend(weights_left(&good));
    for family in families(&report.groups) {
        all.extend(levels(&family));
        all.extend(stages.then(|| training(&family)).flatten());
    }
    all.extend(report.task_shares.iter().map(task_share));
    for group in good.iter().filter(|_| stages) {
        all.extend(importances(group)?);
    }
    Ok(all)
}

fn seeds(n: usize) -> String {
    format!("{n} seed{}", if n == 1 { "" } else { "s" })
}

/// Whether a mask prunes anything.
fn prunes(group: &Group) -> bool {
    group.runs.iter().any(|run| run.heads.iter().flatten().chain(&run.ffns).any(|kept| !kept))
}
