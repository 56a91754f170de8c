//! Bars of pruned and retrained models.

use super::seeds;
use crate::report::{
    figure::{
        Figure,
        bars::{self, Bar, Cluster},
        file_name, palette,
    },
    group::{Group, Mean},
};

/// Bars of pruned and retrained models by mode, for each method and model; tasks side by side.
pub fn scores(groups: &[Group]) -> Vec<Figure> {
    let mut figures = Vec::new();
    let of = |group: &Group| (group.method.to_owned(), group.model.to_owned());
    let plain: Vec<&Group> = groups.iter().filter(|group| group.level.is_none()).collect();
    let mut kinds: Vec<(String, String)> = plain.iter().map(|group| of(group)).collect();
    kinds.sort();
    kinds.dedup();
    for (method, model) in kinds {
        let own: Vec<&&Group> =
            plain.iter().filter(|group| of(group) == (method.clone(), model.clone())).collect();
        let mut clusters: Vec<Cluster> = Vec::new();
        let mut family = None;
        for group in own.iter().filter(|group| group.mode != "full") {
            if family.replace(group.family()) != Some(group.family()) {
                let lines = [
                    ("full model", "", Mean::of(&group.scores(0)).map(|mean| mean.mean)),
                    ("majority class", "2 3", group.mean(|run| run.majority).map(|mean| mean.mean)),
                    ("bag of words", "6 3", group.mean(|run| run.bag_of_words).map(|mean| mean.mean)),
                ];
                let lines = lines.into_iter().filter_map(|(name, dash, value)| Some((name, dash, value?)));
                let settings = group.distinct.iter().map(String::as_str);
                let words: Vec<&str> = [group.task, group.metric].into_iter().chain(settings).collect();
                clusters.push(Cluster { name: words.join(", "), bars: Vec::new(), lines: lines.collect() });
            }
            let Some(cluster) = clusters.last_mut() else { continue };
            for part in [1, 2] {
                cluster.bars.extend(Mean::of(&group.scores(part)).map(|mean| Bar {
                    name: if part == 1 { group.mode.to_owned() } else { String::new() },
                    colour: palette::mode(group.mode, cluster.bars.len() / 2).0,
                    light: part == 1,
                    mean,
                }));
            }
        }
        let most = own.iter().map(|group| group.runs.len()).max().unwrap_or(0);
        if clusters.is_empty() {
            continue;
        }
        let title = format!("Scores of {method}, {model}");
        figures.push(Figure {
            name: file_name(&format!("scores {method} {model}")),
            caption: format!(
                "Development scores of subnetworks found by {method} in {model} and of controls of their size: pruned (light) and \
                 retrained (dark), means over up to {}; error bars: ± one standard deviation. Lines: full model, majority \
                 class, bag of words.",
                seeds(most)
            ),
            svg: bars::draw(&clusters, ["pruned", "retrained"], "score", &title),
            title,
        });
    }
    figures
}
