//! How far the tickets of several seeds agree.

use super::{
    group::{Group, with_tickets_of_their_own},
    run::Run,
    statistics::{CochranQ, Overlap, cochran_q, fleiss_kappa, krippendorff_alpha, mean},
    tickets::first_importance,
};
use crate::{error::Result, prune::spearman};

/// Agreement over the seeds of one group in one kind of unit.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub task: String,
    pub method: String,
    pub level: String,
    pub settings: String,
    /// `heads` or `FFNs`.
    pub units: &'static str,
    pub n: usize,
    /// Mean number of units kept, and their number.
    pub kept: f64,
    pub total: usize,
    pub kappa: Option<f64>,
    pub alpha: Option<f64>,
    pub cochran: Option<CochranQ>,
    pub overlap: Option<Overlap>,
    /// The mean of Spearman's ρ over pairs of seeds, of the importances in the full model.
    pub importance: Option<f64>,
}

/// Of all groups of tickets with at least two seeds whose masks say something: not those that keep or prune everything, and once
/// of those that share their tickets.
pub fn agreement(groups: &[Group]) -> Vec<Agreement> {
    let mut found = Vec::new();
    let good: Vec<&Group> =
        groups.iter().filter(|group| group.mode == "good" && group.runs.len() > 1).collect();
    for group in with_tickets_of_their_own(&good) {
        type Flags = fn(&Run) -> Vec<bool>;
        let kinds: [(&str, Flags); 2] = [("heads", |run| run.head_flags()), ("FFNs", |run| run.ffns.clone())];
        for (units, flags) in kinds {
            let masks: Vec<Vec<bool>> = group.runs.iter().map(|run| flags(run)).collect();
            let total = masks[0].len();
            let whole = masks.iter().flatten().all(|kept| *kept);
            if total > 0 && !whole && masks.iter().all(|mask| mask.len() == total) {
                found.push(Agreement::of(group, units, &masks));
            }
        }
    }
    found
}

impl Agreement {
    fn of(group: &Group, units: &'static str, masks: &[Vec<bool>]) -> Self {
        let counts: Vec<f64> =
            masks.iter().map(|mask| mask.iter().filter(|kept| **kept).count() as f64).collect();
        Self {
            task: group.task.to_owned(),
            method: group.method.to_owned(),
            level: group.level_text(),
            settings: group.settings_text(),
            units,
            n: masks.len(),
            kept: mean(&counts),
            total: masks[0].len(),
            kappa: fleiss_kappa(masks),
            alpha: krippendorff_alpha(masks),
            cochran: cochran_q(masks),
            overlap: Overlap::of(masks),
            importance: None,
        }
    }

    /// Adds the rank correlation of the importances, from the tickets of the stages.
    ///
    /// # Errors
    /// Data: a ticket is not there or is damaged.
    pub fn read_importance(&mut self, group: &Group) -> Result<()> {
        let heads = self.units == "heads";
        let mut all = Vec::new();
        for run in &group.runs {
            let Some(importance) = first_importance(run)? else { return Ok(()) };
            all.push(if heads { importance.heads.concat() } else { importance.ffns });
        }
        let pairs = all.iter().enumerate().flat_map(|(n, a)| all[..n].iter().map(move |b| (a, b)));
        let found: Vec<f64> = pairs.filter_map(|(a, b)| spearman(a, b)).collect();
        self.importance = (!found.is_empty()).then(|| mean(&found));
        Ok(())
    }

    /// Whether it is about this group.
    pub fn is_of(&self, group: &Group) -> bool {
        group.mode == "good"
            && (&*self.task, &*self.method, &*self.level) == (group.task, group.method, &group.level_text())
            && self.settings == group.settings_text()
    }
}
