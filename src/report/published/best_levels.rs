//! The level that each seed's scores choose, where there are several.

use crate::report::group::Group;

/// In the place of groups that differ in their one-shot level alone one of each seed's best run, by its retrained score; of
/// equal ones that of the lower level. The published rule: the weights left of a super ticket deviate over seeds (Liang et
/// al. 2021, Table 7), so that each seed has its own level.
pub fn best_levels(groups: Vec<Group>) -> Vec<Group> {
    let mut best: Vec<Group> = Vec::new();
    for group in groups {
        let is_beside = |other: &&mut Group| {
            group.method == "one-shot" && other.family() == group.family() && other.mode == group.mode
        };
        let Some(other) = best.iter_mut().find(is_beside) else {
            best.push(group);
            continue;
        };
        other.level = None;
        for run in group.runs {
            match other.runs.iter_mut().find(|best| best.seed == run.seed) {
                Some(best) if run.scores[2] > best.scores[2] => *best = run,
                Some(_) => {}
                None => other.runs.push(run),
            }
        }
        other.runs.sort_by_key(|run| run.seed);
    }
    best
}

/// Whether each seed has a level of its own.
pub fn has_several_levels(group: &Group) -> bool {
    group.level.is_none() && group.runs[0].level.is_some()
}

/// The level, or those of the seeds in their order: `level 1`, `levels 1, 3, 1`.
pub fn levels_text(group: &Group) -> String {
    if !has_several_levels(group) {
        return group.level_text();
    }
    let levels = group.runs.iter().filter_map(|run| run.level.as_ref());
    format!("levels {}", levels.map(|level| level.number().to_string()).collect::<Vec<_>>().join(", "))
}
