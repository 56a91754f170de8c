//! Which sparsities match the full model, after Chen et al. 2020, section 3: a winning ticket scores within one standard
//! deviation of the full model.

use super::{
    group::{Group, Mean, families, groups},
    run::Runs,
    statistics::{Interval, bootstrap, deviation, differences, equivalent, mean},
};
use serde::Serialize;

const SEED: u64 = 2020;

/// A level of one family, retrained, beside the full models of the same seeds.
#[derive(Clone, Debug)]
pub struct Matching {
    pub task: String,
    pub method: String,
    pub level: String,
    pub settings: String,
    pub sparsity: Option<f64>,
    pub full: Mean,
    pub retrained: Mean,
    /// Mean ≥ full mean − one standard deviation of the full model: the published rule.
    pub published: bool,
    /// Mean ≥ full mean.
    pub strict: bool,
    /// Mean ≥ 99 % of the full mean.
    pub relaxed: bool,
    /// p-value of the equivalence test within the margin.
    pub equivalent: Option<f64>,
}

/// The highest sparsity of a family that matches by the published rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Highest {
    pub task: String,
    pub method: String,
    pub settings: String,
    pub n: usize,
    /// None where no sparsity matches.
    pub sparsity: Option<f64>,
    pub strict: Option<f64>,
    pub relaxed: Option<f64>,
    /// Of the published rule, over resampled seeds; a resample in which nothing matches counts as 0.
    pub interval: Option<Interval>,
}

/// full mean − 1 std ≤ mean, ≥ full mean, ≥ 99 % of it
fn verdicts(full: &[f64], retrained: &[f64]) -> [bool; 3] {
    let (full_mean, own) = (mean(full), mean(retrained));
    [own >= full_mean - deviation(full).unwrap_or(0.0), own >= full_mean, own >= 0.99 * full_mean]
}

/// The share that a group's runs prune: asked for, or of their encoders on average.
fn sparsity(group: &Group) -> Option<f64> {
    match group.level? {
        super::run::Level::Sparsity(share, _) => Some(*share),
        super::run::Level::Level(_) => {
            group.mean(|run| run.kept.encoder_weights_kept).map(|kept| 1.0 - kept.mean)
        }
    }
}

/// The verdict on every level of every family that has any.
pub fn matching(groups: &[Group], margin: f64) -> (Vec<Matching>, Vec<Highest>) {
    let (mut all, mut best) = (Vec::new(), Vec::new());
    for family in families(groups) {
        let levels = with_levels(&family);
        for group in &levels {
            let (full, retrained) = (group.scores(0), group.scores(2));
            let [published, strict, relaxed] = verdicts(&full, &retrained);
            let means = Mean::of(&full).zip(Mean::of(&retrained));
            all.extend(means.map(|(full_mean, retrained_mean)| Matching {
                task: group.task.to_owned(),
                method: group.method.to_owned(),
                level: group.level_text(),
                settings: group.settings_text(),
                sparsity: sparsity(group),
                full: full_mean,
                retrained: retrained_mean,
                published,
                strict,
                relaxed,
                equivalent: equivalent(&differences(&retrained, &full), margin),
            }));
        }
        best.extend(highest(&levels));
    }
    (all, best)
}

/// The highest sparsity that matches, of every family of these runs that has several.
pub fn highest_of(runs: &Runs) -> Vec<Highest> {
    let groups = groups(&runs.found);
    families(&groups).iter().filter_map(|family| highest(&with_levels(family))).collect()
}

/// The tickets of a family whose size was asked for.
fn with_levels<'g, 'a>(family: &[&'g Group<'a>]) -> Vec<&'g Group<'a>> {
    family.iter().filter(|group| group.mode == "good" && group.level.is_some()).copied().collect()
}

fn highest(levels: &[&Group]) -> Option<Highest> {
    let first = levels.first().filter(|_| levels.len() > 1)?;
    // Of the seeds that all levels have.
    let seeds: Vec<u64> = first
        .seeds()
        .into_iter()
        .filter(|seed| levels.iter().all(|group| group.seeds().contains(seed)))
        .collect();
    let scores = |group: &Group, part: usize| -> Vec<f64> {
        let runs = group.runs.iter().filter(|run| seeds.contains(&run.seed));
        runs.map(|run| run.scores[part]).collect()
    };
    let of_levels: Vec<(f64, Vec<f64>, Vec<f64>)> = levels
        .iter()
        .filter_map(|group| Some((sparsity(group)?, scores(group, 0), scores(group, 2))))
        .collect();
    let found = |chosen: &[usize], rule: usize| {
        let take = |from: &[f64]| chosen.iter().map(|at| from[*at]).collect::<Vec<_>>();
        let matching = of_levels.iter().filter(|(_, full, own)| verdicts(&take(full), &take(own))[rule]);
        matching.map(|(sparsity, ..)| *sparsity).max_by(f64::total_cmp)
    };
    let every: Vec<usize> = (0..seeds.len()).collect();
    (!seeds.is_empty()).then(|| Highest {
        task: first.task.to_owned(),
        method: first.method.to_owned(),
        settings: first.settings_text(),
        n: seeds.len(),
        sparsity: found(&every, 0),
        strict: found(&every, 1),
        relaxed: found(&every, 2),
        interval: bootstrap(seeds.len(), SEED, |chosen| Some(found(chosen, 0).unwrap_or(0.0))),
    })
}
