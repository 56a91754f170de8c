//! Lines: heads left by layer, and scores by size.

use super::{prunes, seeds};
use crate::report::{
    figure::{
        Figure,
        curves::{self, Axes, Curve, Level},
        file_name, palette,
    },
    group::{Group, Mean},
    run::Run,
};

/// The share of heads left in each layer, task by task.
pub fn weights_left(good: &[&Group]) -> Vec<Figure> {
    let mut kinds: Vec<(&str, &str)> =
        good.iter().filter(|group| prunes(group)).map(|group| (group.method, group.model)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut figures = Vec::new();
    for (method, model) in kinds {
        let own = good.iter().filter(|group| (group.method, group.model) == (method, model) && prunes(group));
        let curves: Vec<Curve> = own
            .take(7)
            .enumerate()
            .map(|(nth, group)| {
                let (colour, dash) = palette::series(nth);
                let depth = group.runs[0].heads.len();
                let share = |run: &Run, layer: usize| {
                    let heads = &run.heads[layer];
                    heads.iter().filter(|kept| **kept).count() as f64 / heads.len().max(1) as f64
                };
                let point = |layer: usize| {
                    let mean = group.mean(|run| (run.heads.len() == depth).then(|| share(run, layer)))?;
                    Some((layer as f64 + 1.0, mean.mean, mean.deviation.unwrap_or(0.0)))
                };
                let name = [group.task.to_owned(), group.level_text()].join(" ");
                Curve {
                    name: name.trim_end().to_owned(),
                    colour,
                    dash,
                    points: (0..depth).filter_map(point).collect(),
                }
            })
            .collect();
        let title = format!("Heads left by layer: {method}");
        let axes = Axes { x: "layer", y: "share of heads left", percent: false, markers: true };
        figures.push(Figure {
            name: file_name(&format!("layers {method} {model}")),
            caption: format!(
                "The share of heads that tickets of {method} keep in each layer of {model}: means over seeds, bands of ± one \
                 standard deviation. Layers count from 1."
            ),
            svg: curves::draw(&curves, &[], &axes, &title),
            title,
        });
    }
    figures
}

/// Retrained scores over the encoder's weights that are left, by mode, beside the full model.
pub fn levels(family: &[&Group]) -> Option<Figure> {
    let of_levels: Vec<&&Group> = family.iter().filter(|group| group.level.is_some()).collect();
    let first = of_levels.first()?;
    let mut modes: Vec<&str> = Vec::new();
    for group in &of_levels {
        if !modes.contains(&group.mode) {
            modes.push(group.mode);
        }
    }
    let curves: Vec<Curve> = modes
        .iter()
        .enumerate()
        .map(|(nth, mode)| {
            let point = |group: &&&Group| {
                let (score, kept) =
                    (Mean::of(&group.scores(2))?, group.mean(|run| run.kept.encoder_weights_kept)?);
                Some((kept.mean, score.mean, score.deviation.unwrap_or(0.0)))
            };
            let mut points: Vec<(f64, f64, f64)> =
                of_levels.iter().filter(|group| group.mode == *mode).filter_map(point).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (colour, dash) = palette::mode(mode, nth);
            let name = match *mode {
                "good" => "winning (good)".to_owned(),
                "bad" => "losing (bad)".to_owned(),
                mode => mode.to_owned(),
            };
            Curve { name, colour, dash, points }
        })
        .filter(|curve| !curve.points.is_empty())
        .collect();
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return None;
    }
    // The full models of all seeds, once each.
    let mut full: Vec<(u64, f64)> =
        of_levels.iter().flat_map(|group| group.runs.iter().map(|run| (run.seed, run.scores[0]))).collect();
    full.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    full.dedup_by_key(|(seed, _)| *seed);
    let full = Mean::of(&full.into_iter().map(|(_, score)| score).collect::<Vec<_>>())?;
    let level =
        Level { name: "full model".to_owned(), mean: full.mean, deviation: full.deviation.unwrap_or(0.0) };
    let most = of_levels.iter().map(|group| group.runs.len()).max().unwrap_or(0);
    let name = [first.task, first.method]
        .into_iter()
        .map(str::to_owned)
        .chain(first.settings.clone())
        .collect::<Vec<_>>()
        .join(" ");
    let title = format!("Score by size: {name}");
    let axes = Axes { x: "encoder weights left", y: first.metric, percent: true, markers: true };
    Some(Figure {
        name: file_name(&format!("levels {name} {}", first.model)),
        caption: format!(
            "Retrained {} of subnetworks of {} by the share of the encoder's weights that is left, {}: means over up to {}; bands: ± \
             one standard deviation, grey that of the full model.",
            first.metric,
            first.model,
            first.method,
            seeds(most)
        ),
        svg: curves::draw(&curves, &[level], &axes, &title),
        title,
    })
}
