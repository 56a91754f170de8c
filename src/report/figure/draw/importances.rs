//! Importances before anything is pruned, and over the steps of a search.

use super::{seeds, survivors::numbers};
use crate::{
    error::Result,
    report::{
        figure::{
            Figure, file_name,
            heat_map::{self, Panel},
            histogram::{self, Histogram},
        },
        group::{Group, Mean},
        run::Run,
        tickets::{Importances, first_importance, importances},
    },
};
use std::collections::{BTreeMap, btree_map::Entry};

/// Importances of the heads in the full model: of kept and of pruned ones, or, of several levels that share one scoring, of all
/// of them with the cut of each level.
pub fn importance(family: &[&Group]) -> Result<Option<Figure>> {
    let Some(first) = family.first() else { return Ok(None) };
    let several = family.len() > 1;
    // Levels share the scoring of a seed.
    let mut of_seeds = Scores::new();
    for run in family.iter().flat_map(|group| &group.runs) {
        if let Entry::Vacant(place) = of_seeds.entry(run.seed) {
            place.insert(scores(run)?);
        }
    }
    let own = scored(first, &of_seeds);
    let kept = own.iter().flat_map(|(run, values)| values.iter().copied().zip(run.head_flags()));
    let (kept, pruned): (Vec<_>, Vec<_>) = kept.partition(|(_, kept)| *kept || several);
    let values = |of: Vec<(f64, bool)>| of.into_iter().map(|(value, _)| value).collect();
    let mut of = Histogram { kept: values(kept), pruned: values(pruned), cuts: Vec::new() };
    if own.is_empty() || !several && of.pruned.is_empty() {
        return Ok(None);
    }
    for group in family {
        let number = || group.level_text().split(' ').next_back().unwrap_or_default().to_owned();
        let name = if several { number() } else { "cut".to_owned() };
        let cuts: Vec<f64> = scored(group, &of_seeds)
            .into_iter()
            .filter_map(|(run, values)| cut(values, &run.head_flags()))
            .collect();
        of.cuts.extend(Mean::of(&cuts).map(|mean| (name, mean.mean)));
    }
    let what = if several { first.family_title() } else { first.title() };
    let title = format!("Importances: {what}");
    let (of_whom, size) = match several {
        false => (", of those that the ticket keeps and of those that it prunes", "the tickets' mean size"),
        true => ("", "the size of each level"),
    };
    Ok(Some(Figure {
        name: file_name(&format!("importance {what} {}", first.model)),
        caption: format!(
            "Importances of the heads of {} before anything is pruned ({} {}){of_whom}; heads of {} together. Dashed: where a single \
             cut of {size} would fall.",
            first.model,
            first.task,
            first.method,
            seeds(own.len())
        ),
        svg: histogram::draw(&of, "importance of a head", "heads", &title),
        title,
    }))
}

/// By seed, the scores of all heads in the full model.
type Scores = BTreeMap<u64, Option<Vec<f64>>>;

/// The runs of a group that have scores of their heads.
fn scored<'a, 's>(group: &Group<'a>, of_seeds: &'s Scores) -> Vec<(&'a Run, &'s [f64])> {
    let runs = group.runs.iter().filter_map(|run| Some((*run, of_seeds[&run.seed].as_deref()?)));
    runs.filter(|(run, values)| values.len() == run.head_flags().len()).collect()
}

/// The scores of all heads in the full model; none where the run has none, or not of all.
fn scores(run: &Run) -> Result<Option<Vec<f64>>> {
    let values = first_importance(run)?.map(|importance| importance.heads.concat());
    Ok(values.filter(|values| !values.iter().any(|value| value.is_nan())))
}

/// Between the last score that a cut of the ticket's size would prune and the first that it would keep.
fn cut(values: &[f64], kept: &[bool]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let pruned = kept.iter().filter(|kept| !**kept).count();
    (pruned > 0 && pruned < sorted.len()).then(|| (sorted[pruned - 1] + sorted[pruned]) / 2.0)
}

/// The mean importance of the heads that are left in each layer, and that of its FFN, over the steps of the search.
pub fn steps(group: &Group) -> Result<Option<Figure>> {
    let mut found: Vec<Vec<Importances>> = Vec::new();
    for run in &group.runs {
        found.push(importances(run)?.into_iter().flatten().collect());
    }
    let steps = found.iter().map(Vec::len).max().unwrap_or(0);
    let depth = found.iter().flatten().map(|one| one.heads.len().max(one.ffns.len())).max().unwrap_or(0);
    if steps < 2 {
        return Ok(None);
    }
    let panel = |title, of: &dyn Fn(&Importances, usize) -> Option<f64>| {
        let cell = |layer: usize, step: usize| {
            let values: Vec<f64> = found
                .iter()
                .filter_map(|run| of(run.get(step)?, layer))
                .filter(|value| value.is_finite())
                .collect();
            Mean::of(&values).map_or(f64::NAN, |mean| mean.mean)
        };
        let values: Vec<Vec<f64>> =
            (0..depth).map(|layer| (0..steps).map(|step| cell(layer, step)).collect()).collect();
        Panel {
            title,
            most: heat_map::largest(&values),
            values,
            rows: numbers(depth),
            columns: numbers(steps),
            row_name: "layer",
            column_name: "step of the search",
            decimals: 2,
            strip: None,
        }
    };
    let of_heads = |one: &Importances, layer: usize| {
        let left: Vec<f64> =
            one.heads.get(layer)?.iter().copied().filter(|value| value.is_finite()).collect();
        Some(Mean::of(&left)?.mean)
    };
    let all = [
        panel("heads that are left, mean", &of_heads),
        panel("FFN", &|one: &Importances, layer: usize| one.ffns.get(layer).copied()),
    ];
    let has_any = |panel: &Panel| panel.values.iter().flatten().any(|value| value.is_finite());
    let panels: Vec<Panel> = all.into_iter().filter(has_any).collect();
    // Single weights are pruned by their magnitudes.
    if panels.is_empty() {
        return Ok(None);
    }
    let title = format!("Importances by step: {}", group.title());
    Ok(Some(Figure {
        name: file_name(&format!("importance by step {} {}", group.title(), group.model)),
        caption: format!(
            "By what importances each step of the search pruned {} ({} {}): means over up to {}, those whose search came so far. \
             Empty where nothing of a layer is left to prune. Each panel has its own scale; steps and layers count from 1.",
            group.model,
            group.task,
            group.method,
            seeds(group.runs.len())
        ),
        svg: heat_map::draw(&panels, &title),
        title,
    }))
}
