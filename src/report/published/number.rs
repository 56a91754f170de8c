//! One published number, and what of our runs it stands beside.

use super::{
    Ours, Setting,
    best_levels::{has_several_levels, levels_text},
};
use crate::{
    choice::{Choice, choices},
    config::ExperimentConfig,
    report::{
        group::{Group, Mean},
        run::{Level, PARTS, Run},
        sensitivity::settings_but_rates,
    },
};
use serde::{Deserialize, Serialize};

choices! {
    /// Over what scores deviate.
    pub enum Over ("spread") {
        /// runs that differ in their seed alone (Liang et al. 2021, Tables 5 and 6)
        Seeds = "seeds",
        /// the means over seeds of runs that differ in a learning rate alone (Table 8)
        LearningRates = "learning rates",
    }
}

/// The metric of the share of the encoder's weights that are left, which is one of the ticket and not of predictions.
pub(super) const WEIGHTS: &str = "encoder_weights_kept";

/// One number: scores are shares of 1, deviations by n − 1.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    pub task: String,
    /// None of a full model, which belongs to every method.
    pub method: Option<String>,
    pub mode: String,
    pub part: String,
    pub metric: String,
    pub sparsity: Option<f64>,
    #[serde(default)]
    pub setting: Setting,
    /// The share of the task's training data.
    pub fraction: Option<f64>,
    /// Where the number is a deviation itself.
    pub deviation_over: Option<Over>,
    pub mean: f64,
    pub std: Option<f64>,
    pub n: Option<usize>,
    /// Where it is not that of the paper.
    pub model: Option<String>,
}

impl Number {
    /// Whether the score is one of this run. A full model's is part of every record, and needs no run of its own.
    pub fn needs(&self, run: &ExperimentConfig) -> bool {
        let sparsity = run.prune.sparsity.map(|sparsity| sparsity.share);
        self.part != "full"
            && self.task == run.task.name()
            && self.method.as_deref().is_none_or(|method| method == run.method.name())
            && self.mode == run.mode.name()
            && (self.sparsity.is_none() || self.sparsity == sparsity)
            && self.setting == Setting::planned(run)
            && self.fraction.is_none_or(|fraction| fraction == run.data.fraction)
    }

    /// The deviation of a score as a number of its own.
    pub(super) fn deviation_over_seeds(&self) -> Option<Self> {
        let is_score = self.deviation_over.is_none() && self.metric != WEIGHTS;
        let mean = self.std.filter(|_| is_score)?;
        Some(Self { deviation_over: Some(Over::Seeds), mean, std: None, ..self.clone() })
    }

    fn part(&self) -> usize {
        PARTS.iter().position(|part| *part == self.part).unwrap_or(0)
    }

    fn is_of(&self, group: &Group) -> bool {
        let full = self.part() == 0;
        let sparsity = group.level.map(Level::number);
        group.task == self.task
            && self.method.as_deref().is_none_or(|method| method == group.method)
            && (full || group.mode == self.mode)
            && (self.sparsity.is_none() || self.sparsity == sparsity)
            && (full || self.setting == group.setting())
            && self.fraction.is_none_or(|fraction| fraction == group.runs[0].fraction)
            // The weights left are those of a choice of levels.
            && (self.metric != WEIGHTS || has_several_levels(group))
    }

    fn value(&self, run: &Run) -> Option<f64> {
        match self.metric.as_str() {
            WEIGHTS => run.kept.encoder_weights_kept,
            metric => run.metrics[self.part()].get(metric).copied(),
        }
    }

    /// What these groups have of it: one for each, or for those that differ in a learning rate alone.
    pub(super) fn ours(&self, groups: &[Group]) -> Vec<Ours> {
        let mut own: Vec<&Group> = groups.iter().filter(|group| self.is_of(group)).collect();
        if self.part() == 0 {
            own = distinct_full_models(&own);
        }
        let means = own.into_iter().filter_map(|group| Some((group, group.mean(|run| self.value(run))?)));
        match self.deviation_over {
            None => means.map(|(group, mean)| self.described(group, mean, &group.settings)).collect(),
            Some(Over::Seeds) => means
                .filter_map(|(group, mean)| Some(self.described(group, deviation(mean)?, &group.settings)))
                .collect(),
            Some(Over::LearningRates) => {
                let mut all: Vec<(Ours, Vec<f64>)> = Vec::new();
                for (group, mean) in means {
                    let ours = self.described(group, mean, &settings_but_rates(&group.settings));
                    match all.iter_mut().find(|(other, _)| other.is_beside(&ours)) {
                        Some((_, means)) => means.push(mean.mean),
                        None => all.push((ours, vec![mean.mean])),
                    }
                }
                let of = |(ours, means): (Ours, Vec<f64>)| {
                    Some(Ours { mean: deviation(Mean::of(&means)?)?, ..ours })
                };
                all.into_iter().filter_map(of).collect()
            }
        }
    }

    fn described(&self, group: &Group, mean: Mean, settings: &[String]) -> Ours {
        let own = if self.part() == 0 { group.method.to_owned() } else { levels_text(group) };
        let words = [own].into_iter().chain(settings.iter().cloned()).filter(|word| !word.is_empty());
        Ours { mean, model: group.model.to_owned(), of: words.collect::<Vec<String>>().join(" ") }
    }
}

impl Ours {
    /// Whether nothing tells the two apart but their numbers.
    fn is_beside(&self, other: &Self) -> bool {
        (&self.model, &self.of) == (&other.model, &other.of)
    }
}

/// Methods, controls and levels share full models: without the groups that have none of their own.
fn distinct_full_models<'g, 'a>(groups: &[&'g Group<'a>]) -> Vec<&'g Group<'a>> {
    let mut distinct: Vec<&Group> = Vec::new();
    for group in groups {
        let has_them = |other: &&Group| other.has_full_models_of(group) && other.has_seeds_of(group);
        if !distinct.iter().any(has_them) {
            distinct.push(group);
        }
    }
    distinct
}

/// The deviation as the number; none of a single value.
fn deviation(of: Mean) -> Option<Mean> {
    Some(Mean { mean: of.deviation?, deviation: None, ..of })
}
