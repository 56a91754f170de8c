//! Scores by size: of the modes of a method, and of several methods.

use super::seeds;
use crate::report::{
    figure::{
        Figure,
        curves::{self, Axes, Curve, Level},
        file_name, palette,
    },
    group::{Group, Mean, words},
    published::Setting,
};
use std::collections::{BTreeMap, BTreeSet};

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
            let points = points(of_levels.iter().filter(|group| group.mode == *mode).map(|group| **group));
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
    let level = full(of_levels.iter().map(|group| **group))?;
    let most = of_levels.iter().map(|group| group.runs.len()).max().unwrap_or(0);
    let name = first.family_title();
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

/// By the encoder's weights that are left, the retrained score and its deviation.
fn points<'g>(groups: impl Iterator<Item = &'g Group<'g>>) -> Vec<(f64, f64, f64)> {
    let point = |group: &Group| {
        let (score, kept) = (Mean::of(&group.scores(2))?, group.mean(|run| run.kept.encoder_weights_kept)?);
        Some((kept.mean, score.mean, score.deviation.unwrap_or(0.0)))
    };
    let mut points: Vec<(f64, f64, f64)> = groups.filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The full models of all seeds, once each.
fn full<'g>(groups: impl Iterator<Item = &'g Group<'g>>) -> Option<Level> {
    let of_seeds: BTreeMap<u64, f64> =
        groups.flat_map(|group| group.runs.iter().map(|run| (run.seed, run.scores[0]))).collect();
    let full = Mean::of(&of_seeds.into_values().collect::<Vec<_>>())?;
    Some(Level { name: "full model".to_owned(), mean: full.mean, deviation: full.deviation.unwrap_or(0.0) })
}

/// Retrained scores of tickets over the encoder's weights that are left, by method, of methods with the same full models.
pub fn methods(good: &[&Group]) -> Vec<Figure> {
    let mut sets: Vec<Vec<&Group>> = Vec::new();
    for group in
        good.iter().filter(|group| group.setting() == Setting::Alone && group.ticket_from().is_none())
    {
        let alike = |set: &&mut Vec<&Group>| set[0].task == group.task && group.has_full_models_of(set[0]);
        match sets.iter_mut().find(alike) {
            Some(set) => set.push(group),
            None => sets.push(vec![group]),
        }
    }
    let mut figures: Vec<Figure> = sets.iter().filter_map(|set| of_methods(set)).collect();
    // Where a task has several full models: its figures have names of their own.
    for nth in 1..figures.len() {
        if figures[..nth].iter().any(|figure| figure.name == figures[nth].name) {
            figures[nth].name += &format!("-{nth}");
        }
    }
    figures
}

fn of_methods(set: &[&Group]) -> Option<Figure> {
    let first = set[0];
    let families = set.chunk_by(|a, b| a.family() == b.family());
    let methods: BTreeSet<&str> = set.iter().map(|group| group.method).collect();
    let (lines, single): (Vec<_>, Vec<_>) = families.partition(|family| family.len() > 1);
    // One line beside other methods' points says something, points alone do not.
    if methods.len() < 2 || lines.is_empty() {
        return None;
    }
    let curves: Vec<Curve> = lines
        .iter()
        .chain(&single)
        .enumerate()
        .map(|(nth, family)| {
            let (colour, dash) = palette::series(nth);
            let group = family[0];
            let level = if family.len() > 1 { String::new() } else { group.level_text() };
            let name = words(&[group.method, &group.distinct_text(), &level]);
            Curve { name, colour, dash, points: points(family.iter().copied()) }
        })
        .collect();
    let title = format!("Score by size of several methods: {}", first.task);
    let axes = Axes { x: "encoder weights left", y: first.metric, percent: true, markers: true };
    let most = set.iter().map(|group| group.runs.len()).max().unwrap_or(0);
    Some(Figure {
        name: file_name(&format!("methods {} {}", first.task, first.model)),
        caption: format!(
            "Retrained {} of tickets of several methods in {} by the share of the encoder's weights that is left: means over up to \
             {}; bands: ± one standard deviation, grey that of the full model.",
            first.metric,
            first.model,
            seeds(most)
        ),
        svg: curves::draw(&curves, &[full(set.iter().copied())?], &axes, &title),
        title,
    })
}
