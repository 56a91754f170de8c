//! How much each task needs each unit (Liang et al. 2021, Figure 6).

use super::{group::Group, statistics::mean, tickets::first_importance};
use crate::error::Result;

/// The units of one model, scored before anything is pruned, by several tasks.
#[derive(Clone, Debug)]
pub struct TaskShares {
    pub method: String,
    pub model: String,
    pub tasks: Vec<String>,
    /// Seeds of each task.
    pub n: Vec<usize>,
    /// Heads of a layer.
    pub width: usize,
    /// Layer by layer.
    pub heads: Vec<Shared>,
    /// A layer each; empty where FFNs are not scored.
    pub ffns: Vec<Shared>,
}

/// A unit's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// Ticket Importance: the mean of its scores over the tasks.
    pub importance: f64,
    /// Task Share: each task's part of the sum of the scores, which together are 1; NaN where all scores are 0.
    pub shares: Vec<f64>,
}

impl Shared {
    fn of(scores: &[f64]) -> Self {
        let sum: f64 = scores.iter().sum();
        Self { importance: mean(scores), shares: scores.iter().map(|score| score / sum).collect() }
    }
}

/// Of the good groups of each method and model that score units, one of each task: not those whose ticket another task has
/// found. Methods that score in the same way at every level have one group only.
///
/// # Errors
/// Data: a ticket is not in the store any more, or is damaged.
pub fn task_shares(groups: &[Group]) -> Result<Vec<TaskShares>> {
    let mut sets: Vec<Vec<&Group>> = Vec::new();
    let scored = |group: &&Group| {
        group.mode == "good" && group.ticket_from().is_none() && !group.runs[0].heads.is_empty()
    };
    for group in groups.iter().filter(scored) {
        let key = |group: &Group| (group.method.to_owned(), group.model.to_owned());
        match sets.iter_mut().find(|set| key(set[0]) == key(group)) {
            Some(set) if set.iter().any(|own| own.task == group.task) => {}
            Some(set) => set.push(group),
            None => sets.push(vec![group]),
        }
    }
    sets.retain(|set| set.len() > 1);
    let found = sets.iter().map(|set| TaskShares::of(set)).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

impl TaskShares {
    /// None where a run has no scores, or those of other units.
    fn of(groups: &[&Group]) -> Result<Option<Self>> {
        let (mut heads, mut ffns, mut width) = (Vec::new(), Vec::new(), 0);
        for group in groups {
            let mut of_seeds = [Vec::new(), Vec::new()];
            for run in &group.runs {
                let Some(importance) = first_importance(run)? else { return Ok(None) };
                width = importance.heads.first().map_or(0, Vec::len);
                of_seeds[0].push(importance.heads.concat());
                of_seeds[1].push(importance.ffns);
            }
            let [of_heads, of_ffns] = of_seeds.map(|all| means(&all));
            heads.push(of_heads);
            ffns.push(of_ffns);
        }
        let (Some(heads), Some(ffns)) = (units(heads), units(ffns)) else { return Ok(None) };
        Ok((!heads.is_empty()).then(|| Self {
            method: groups[0].method.to_owned(),
            model: groups[0].model.to_owned(),
            tasks: groups.iter().map(|group| group.task.to_owned()).collect(),
            n: groups.iter().map(|group| group.runs.len()).collect(),
            width,
            heads,
            ffns,
        }))
    }
}

/// Unit by unit, the mean over seeds; none where seeds have different units, or one without a score.
fn means(seeds: &[Vec<f64>]) -> Option<Vec<f64>> {
    let units = seeds.first()?.len();
    let whole = |scores: &Vec<f64>| scores.len() == units && scores.iter().all(|score| score.is_finite());
    let of_unit = |unit: usize| mean(&seeds.iter().map(|scores| scores[unit]).collect::<Vec<_>>());
    seeds.iter().all(whole).then(|| (0..units).map(of_unit).collect())
}

/// From the scores of each task to those of each unit.
fn units(tasks: Vec<Option<Vec<f64>>>) -> Option<Vec<Shared>> {
    let tasks: Vec<Vec<f64>> = tasks.into_iter().collect::<Option<_>>()?;
    let n = tasks.first()?.len();
    let of_unit = |unit: usize| Shared::of(&tasks.iter().map(|scores| scores[unit]).collect::<Vec<_>>());
    tasks.iter().all(|scores| scores.len() == n).then(|| (0..n).map(of_unit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_is_the_mean_and_shares_are_parts_of_the_sum() {
        let seeds = vec![vec![1.0, 0.0], vec![3.0, 0.0]];
        let found = units(vec![means(&seeds), Some(vec![6.0, 0.0])]).unwrap();
        assert_eq!(found[0], Shared { importance: 4.0, shares: vec![0.25, 0.75] });
        assert!(found[1].importance == 0.0 && found[1].shares.iter().all(|share| share.is_nan()));
    }

    #[test]
    fn seeds_and_tasks_with_other_units_or_without_scores_are_left_out() {
        assert_eq!(means(&[vec![1.0], vec![1.0, 2.0]]), None);
        assert_eq!(means(&[vec![1.0, f64::NAN]]), None);
        assert_eq!(units(vec![Some(vec![1.0]), Some(vec![1.0, 2.0])]), None);
        assert_eq!(units(vec![Some(vec![1.0]), None]), None);
    }
}
