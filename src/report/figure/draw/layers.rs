//! What tickets leave of each layer.

use super::{prunes, seeds, survivors::numbers};
use crate::report::{
    figure::{
        Figure, file_name,
        heat_map::{self, Panel},
    },
    group::{Group, words},
    run::Run,
};

/// The share of heads and FFNs left in each layer: a figure for each method and model, with a row for each task, and of tasks
/// with several levels one of their own, with a row for each level.
pub fn layers(good: &[&Group]) -> Vec<Figure> {
    let mut figures: Vec<Vec<&Group>> = Vec::new();
    for group in good.iter().filter(|group| prunes(group)) {
        let alike = |other: &Group| {
            let of_one_task =
                other.level.is_none() || (other.task, &other.settings) == (group.task, &group.settings);
            (other.method, other.model, other.level.is_some())
                == (group.method, group.model, group.level.is_some())
                && of_one_task
        };
        match figures.iter_mut().find(|figure| alike(figure[0])) {
            Some(figure) => figure.push(group),
            None => figures.push(vec![group]),
        }
    }
    figures.iter().map(|groups| figure(groups)).collect()
}

/// The kept heads and FFNs of a layer as shares, mean over the runs; NaN where a run has no such layer.
fn shares(group: &Group, depth: usize, of: impl Fn(&Run, usize) -> Option<f64>) -> Vec<f64> {
    (0..depth).map(|layer| group.mean(|run| of(run, layer)).map_or(f64::NAN, |mean| mean.mean)).collect()
}

fn figure(groups: &[&Group]) -> Figure {
    let first = groups[0];
    let depth = groups.iter().map(|group| group.runs[0].heads.len()).max().unwrap_or(0);
    let heads = |run: &Run, layer: usize| {
        let heads = run.heads.get(layer)?;
        Some(heads.iter().filter(|kept| **kept).count() as f64 / heads.len().max(1) as f64)
    };
    let ffn = |run: &Run, layer: usize| run.ffns.get(layer).map(|kept| f64::from(u8::from(*kept)));
    let name = |group: &&Group| match group.level {
        Some(_) => group.level_text(),
        None => words(&[group.task, &group.distinct_text()]),
    };
    let rows: Vec<String> = groups.iter().map(name).collect();
    let panel = |title, values: Vec<Vec<f64>>| Panel {
        title,
        values,
        rows: rows.clone(),
        columns: numbers(depth),
        row_name: "",
        column_name: "layer",
        most: 1.0,
        decimals: 2,
        strip: None,
    };
    let what = if first.level.is_some() { first.family_title() } else { first.method.to_owned() };
    let title = format!("Heads and FFNs left by layer: {what}");
    let most = groups.iter().map(|group| group.runs.len()).max().unwrap_or(0);
    Figure {
        name: file_name(&format!("layers {what} {}", first.model)),
        caption: format!(
            "The share of the heads that tickets of {what} keep in each layer of {}, and of the seeds whose ticket keeps the layer's \
             FFN: means over up to {}. Layers count from 1.",
            first.model,
            seeds(most)
        ),
        svg: heat_map::draw(
            &[
                panel(
                    "heads left, share of a layer's",
                    groups.iter().map(|group| shares(group, depth, heads)).collect(),
                ),
                panel(
                    "FFN left, share of seeds",
                    groups.iter().map(|group| shares(group, depth, ffn)).collect(),
                ),
            ],
            &title,
        ),
        title,
    }
}
