//! Which figures a report has, and their captions.

mod curves;
mod importances;
mod layers;
mod scores;
mod super_tickets;
mod survivors;
mod task_share;
mod training;
mod transfer;

use super::Figure;
use crate::{
    error::Result,
    report::{
        group::{Group, families, with_tickets_of_their_own},
        report::Report,
    },
};
use curves::{levels, methods};
use importances::{importance, steps};
use layers::layers;
use scores::scores;
use super_tickets::super_tickets;
use survivors::{over_tasks, survivors};
use task_share::task_share;
use training::training;
use transfer::transfer;

/// All figures that the records allow. Those of importances need the stages of the tickets (`stages`).
///
/// # Errors
/// Data: a ticket is not in the store any more, or is damaged.
pub fn figures(report: &Report, stages: bool) -> Result<Vec<Figure>> {
    let mut all = Vec::new();
    all.extend(scores(&report.groups));
    let winning: Vec<&Group> = report.groups.iter().filter(|group| group.mode == "good").collect();
    let good: Vec<&Group> = winning.iter().filter(|group| !group.runs[0].heads.is_empty()).copied().collect();
    let good = with_tickets_of_their_own(&good);
    all.extend(good.iter().filter_map(|group| survivors(group)));
    all.extend(over_tasks(&good));
    all.extend(layers(&good));
    for family in families(&report.groups) {
        all.extend(levels(&family));
        all.extend(stages.then(|| training(&family)).flatten());
    }
    all.extend(methods(&winning));
    all.extend(report.transfers.iter().map(transfer));
    all.extend(super_tickets(&report.levels));
    all.extend(report.task_shares.iter().map(task_share));
    if stages {
        for family in good.chunk_by(|a, b| a.family() == b.family()) {
            all.extend(importance(family)?);
        }
        for group in &good {
            all.extend(steps(group)?);
        }
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
