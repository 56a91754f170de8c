//! Runs that differ in nothing but their seed.

use super::{
    modes::place,
    published::Setting,
    run::{Level, Run},
    statistics::{deviation, mean},
};
use crate::store::StageId;
use std::collections::{BTreeMap, HashSet};

/// Runs of one task, method, mode, level, model, data and of the same settings: what may be averaged.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    pub task: &'a str,
    pub method: &'a str,
    pub mode: &'a str,
    pub metric: &'a str,
    pub model: &'a str,
    pub level: Option<&'a Level>,
    /// The settings in which these runs differ from others, level and model aside: `key=value`.
    pub settings: Vec<String>,
    /// Those of them that not all groups of its task and method have: what a figure of one method has to say.
    pub distinct: Vec<String>,
    /// By seed.
    pub runs: Vec<&'a Run>,
}

/// What an average hides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub n: usize,
    pub mean: f64,
    /// By n − 1; none of one value.
    pub deviation: Option<f64>,
}

impl Mean {
    /// None of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        (!values.is_empty()).then(|| Self {
            n: values.len(),
            mean: mean(values),
            deviation: deviation(values),
        })
    }
}

/// What distinguishes groups from each other, modes and levels aside.
pub type Family<'a> = (&'a str, &'a str, &'a str, &'a str, Vec<String>);

/// Keys of the level, and of what has a column of its own.
const OWN: [&str; 3] = ["prune.level", "prune.sparsity", "model"];

/// All groups, by task, method, settings, level and mode.
pub fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    type Key<'a> = (&'a str, &'a str, Vec<String>, &'a str, u64, String, usize, &'a str, &'a str);
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for run in runs {
        // What is not set is told apart from what is without a word.
        let own = run.settings.iter().filter(|(key, value)| !OWN.contains(&key.as_str()) && *value != "null");
        let settings: Vec<String> = own.map(|(key, value)| format!("{key}={value}")).collect();
        let level = run.level.as_ref();
        let key = (
            run.task.as_str(),
            run.method.as_str(),
            settings.clone(),
            run.model.as_str(),
            // Positive numbers have the order of their bits.
            level.map_or(0, |level| level.number().to_bits()),
            level.map(Level::text).unwrap_or_default(),
            place(&run.mode),
            run.mode.as_str(),
            run.metric.as_str(),
        );
        let new = || Group {
            task: &run.task,
            method: &run.method,
            mode: &run.mode,
            metric: &run.metric,
            model: &run.model,
            level,
            settings,
            distinct: Vec::new(),
            runs: Vec::new(),
        };
        groups.entry(key).or_insert_with(new).runs.push(run);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        group.runs.sort_by(|a, b| (a.seed, &a.path).cmp(&(b.seed, &b.path)));
        group.runs.dedup_by_key(|run| run.seed);
    }
    for alike in groups.chunk_by_mut(|a, b| (a.task, a.method) == (b.task, b.method)) {
        let is_common = |setting: &&String| alike.iter().all(|group| group.settings.contains(setting));
        let common: Vec<String> = alike[0].settings.iter().filter(is_common).cloned().collect();
        for group in alike {
            group.distinct = group.settings.iter().filter(|own| !common.contains(own)).cloned().collect();
        }
    }
    groups
}

impl<'a> Group<'a> {
    /// Groups of one family differ in mode and level alone.
    pub fn family(&self) -> Family<'a> {
        (self.task, self.method, self.model, self.metric, self.settings.clone())
    }

    /// Whether the other group has the same family and the same level.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.family() == other.family() && self.level == other.level
    }

    /// Whether its retrained models are the full ones.
    pub fn is_of_one_training(&self) -> bool {
        self.runs.iter().all(|run| run.evaluated(2).is_none_or(|stage| run.evaluated(0) == Some(stage)))
    }

    pub fn setting(&self) -> Setting {
        self.runs[0].setting
    }

    /// The task whose ticket it takes.
    pub fn ticket_from(&self) -> Option<&'a str> {
        self.runs[0].ticket_from.as_deref()
    }

    pub fn seeds(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.seed).collect()
    }

    /// The scores of a part (full, pruned, retrained) by seed.
    pub fn scores(&self, part: usize) -> Vec<f64> {
        self.runs.iter().map(|run| run.scores[part]).collect()
    }

    /// The mean of what each run has; none where a run lacks it.
    pub fn mean(&self, value: impl Fn(&Run) -> Option<f64>) -> Option<Mean> {
        let values: Option<Vec<f64>> = self.runs.iter().map(|run| value(run)).collect();
        Mean::of(&values?)
    }

    /// `sparsity 0.5`, or nothing.
    pub fn level_text(&self) -> String {
        self.level.map(Level::text).unwrap_or_default()
    }

    /// What distinguishes it from other groups of its task, method, mode and level: settings, and the model where there
    /// are several.
    pub fn settings_text(&self) -> String {
        self.settings_words().join(" ")
    }

    /// The same, one by one.
    pub fn settings_words(&self) -> Vec<String> {
        let model = self.runs[0].settings.get("model").map(|model| format!("model={model}"));
        model.into_iter().chain(self.settings.iter().cloned()).collect()
    }

    /// For people: `mrpc heads+ffns good`, with the level and what else distinguishes it.
    pub fn name(&self) -> String {
        words(&[self.task, self.method, self.mode, &self.level_text(), &self.settings_text()])
    }

    /// Its name in a figure of its method.
    pub fn title(&self) -> String {
        words(&[self.task, self.method, self.mode, &self.level_text(), &self.distinct_text()])
    }

    /// What stands for its family in a title.
    pub fn family_title(&self) -> String {
        words(&[self.task, self.method, &self.distinct_text()])
    }

    pub fn distinct_text(&self) -> String {
        self.distinct.join(" ")
    }

    /// Whether the full models of both are the same: those of the seeds that both have, of which there is one at least.
    pub fn has_full_models_of(&self, other: &Group) -> bool {
        let pairs = self.paired(other);
        let same = |(own, other): &(&Run, &Run)| {
            own.evaluated(0).is_some() && own.evaluated(0) == other.evaluated(0)
        };
        !pairs.is_empty() && pairs.iter().all(same)
    }

    /// Whether it has a run of each seed of the other.
    pub fn has_seeds_of(&self, other: &Group) -> bool {
        other.paired(self).len() == other.runs.len()
    }

    /// The runs of both, seed by seed.
    pub fn paired<'b>(&self, other: &Group<'b>) -> Vec<(&'a Run, &'b Run)> {
        let of = |seed: u64| other.runs.iter().find(|run| run.seed == seed).copied();
        self.runs.iter().filter_map(|run| Some((*run, of(run.seed)?))).collect()
    }
}

/// Without groups whose tickets are those of another one, seed by seed: what comes after the search shares them, and a run may
/// have taken that of another task.
pub fn with_tickets_of_their_own<'g, 'a>(groups: &[&'g Group<'a>]) -> Vec<&'g Group<'a>> {
    let mut seen: HashSet<Vec<(u64, StageId)>> = HashSet::new();
    let mut own = Vec::new();
    for group in groups {
        let is_source = |other: &Group, task: &str| {
            (other.task, other.method, other.model) == (task, group.method, group.model)
                && other.ticket_from().is_none()
                && other.has_seeds_of(group)
                && group.paired(other).iter().all(|(a, b)| (&a.heads, &a.ffns) == (&b.heads, &b.ffns))
        };
        let is_taken =
            group.ticket_from().is_some_and(|task| groups.iter().any(|other| is_source(other, task)));
        let stage = |run: &&Run| Some((run.seed, run.ticket().or_else(|| run.stage("ticket"))?));
        let tickets: Option<Vec<(u64, StageId)>> = group.runs.iter().map(stage).collect();
        if !is_taken && tickets.is_none_or(|tickets| seen.insert(tickets)) {
            own.push(*group);
        }
    }
    own
}

/// Those that say something, in one line.
pub fn words(all: &[&str]) -> String {
    all.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// Groups by family, in the order of the groups.
pub fn families<'g, 'a>(groups: &'g [Group<'a>]) -> Vec<Vec<&'g Group<'a>>> {
    let mut families: Vec<Vec<&Group>> = Vec::new();
    for group in groups {
        match families.last_mut().filter(|family| family[0].family() == group.family()) {
            Some(family) => family.push(group),
            None => families.push(vec![group]),
        }
    }
    families
}
