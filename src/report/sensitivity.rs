//! How much scores depend on the seed and on the learning rate (Liang et al. 2021, Tables 5 and 8).

use super::{
    comparison::sides,
    group::{Group, Mean},
    statistics::{BrownForsythe, brown_forsythe},
};
use std::collections::BTreeMap;

/// Whether a setting's values are the points of the second kind of row.
fn is_rate(setting: &str) -> bool {
    ["train.learning_rate=", "shared.learning_rate=", "shared.finetune_learning_rate="]
        .iter()
        .any(|key| setting.starts_with(key))
}

/// Those of these settings that are no learning rate.
pub fn settings_but_rates(settings: &[String]) -> Vec<String> {
    settings.iter().filter(|setting| !is_rate(setting)).cloned().collect()
}

/// Spreads of the retrained ticket and of what it is compared with.
#[derive(Clone, Debug)]
pub struct Sensitivity {
    pub task: String,
    pub method: String,
    pub level: String,
    pub settings: String,
    /// `seeds`, or `learning rates`, of which each has the mean over its seeds.
    pub over: &'static str,
    pub first: String,
    pub second: String,
    /// Number, mean and deviation of both.
    pub spreads: [Mean; 2],
    /// Whether the spreads differ.
    pub test: Option<BrownForsythe>,
}

/// Of each retrained ticket against controls and full models: over seeds, and over learning rates where groups differ in
/// nothing else.
pub fn sensitivity(groups: &[Group]) -> Vec<Sensitivity> {
    let mut found = Vec::new();
    // By everything but the learning rate: the rows over learning rates.
    type Points = (Vec<f64>, Vec<f64>);
    let mut rates: BTreeMap<[String; 6], Points> = BTreeMap::new();
    for (first, second) in sides(groups).into_iter().filter(|(first, _)| first.part == 2) {
        let scores = [first, second].map(|side| side.group.scores(side.part));
        let group = first.group;
        let names = [first, second].map(|side| side.name());
        let of = |over, settings: String, scores: &[Vec<f64>; 2]| {
            let spreads = [Mean::of(&scores[0])?, Mean::of(&scores[1])?];
            Some(Sensitivity {
                task: group.task.to_owned(),
                method: group.method.to_owned(),
                level: group.level_text(),
                settings,
                over,
                first: names[0].clone(),
                second: names[1].clone(),
                spreads,
                test: brown_forsythe(&[&scores[0], &scores[1]]),
            })
        };
        found.extend(of("seeds", group.settings_text(), &scores).filter(Sensitivity::has_spread));
        // Groups differ in nothing else. One without such a setting has the rate of its preset.
        let others = settings_but_rates(&group.settings_words());
        let [a, b] = names.clone();
        let key = [group.task, group.method, &group.level_text(), &others.join(" "), &a, &b];
        let points = rates.entry(key.map(str::to_owned)).or_default();
        let [a, b] = scores.map(|scores| super::statistics::mean(&scores));
        points.0.push(a);
        points.1.push(b);
    }
    // Full models know nothing of the rates of what follows them.
    rates.retain(|[.., second], (_, scores)| {
        second != "full model" || scores.iter().any(|score| *score != scores[0])
    });
    for ([task, method, level, settings, first, second], (a, b)) in rates {
        let (Some(one), Some(other)) = (Mean::of(&a), Mean::of(&b)) else { continue };
        let spreads = [one, other];
        let test = brown_forsythe(&[&a, &b]);
        let row = Sensitivity {
            task,
            method,
            level,
            settings,
            over: "learning rates",
            first,
            second,
            spreads,
            test,
        };
        found.extend(Some(row).filter(Sensitivity::has_spread));
    }
    found
}

impl Sensitivity {
    fn has_spread(&self) -> bool {
        self.spreads.iter().all(|mean| mean.n > 1)
    }
}
