//! Heads and FFNs that survive: of a task over seeds, over tasks, and in two tasks at once.

use super::{prunes, seeds};
use crate::report::{
    figure::{
        Figure, file_name,
        heat_map::{self, Panel},
    },
    group::Group,
    run::Run,
    survivors::{shared, survival},
};

/// The names of layers, heads and steps.
pub(super) fn numbers(n: usize) -> Vec<String> {
    (1..=n).map(|number| number.to_string()).collect()
}

pub(super) fn rows(flat: &[f64], width: usize) -> Vec<Vec<f64>> {
    flat.chunks(width.max(1)).map(<[f64]>::to_vec).collect()
}

/// The share of seeds that keep each head and FFN, and its deviation.
pub fn survivors(group: &Group) -> Option<Figure> {
    let width = group.runs[0].heads.first()?.len();
    let heads = survival(&[group.runs.iter().map(|run| run.head_flags()).collect()])?;
    let ffns = survival(&[group.runs.iter().map(|run| run.ffns.clone()).collect()]);
    if !prunes(group) {
        return None;
    }
    let panel = |title, heads: &[f64], ffns: Option<&Vec<f64>>, most| Panel {
        title,
        values: rows(heads, width),
        rows: numbers(heads.len() / width),
        columns: numbers(width),
        row_name: "layer",
        column_name: "head",
        most,
        decimals: 2,
        strip: ffns.map(|ffns| ("FFN", ffns.clone())),
    };
    let title = format!("Survivors: {}", group.title());
    let svg = heat_map::draw(
        &[
            panel("kept, share of seeds", &heads.mean, ffns.as_ref().map(|ffns| &ffns.mean), 1.0),
            panel("standard deviation", &heads.deviation, ffns.as_ref().map(|ffns| &ffns.deviation), 0.6),
        ],
        &title,
    );
    Some(Figure {
        name: file_name(&format!("survivors {} {}", group.title(), group.model)),
        caption: format!(
            "Heads and FFNs of {} that the tickets of {} keep ({} {}): the share of seeds, and its standard deviation over them \
             (n − 1). Layers and heads count from 1.",
            group.model,
            seeds(group.runs.len()),
            group.task,
            group.method
        ),
        svg,
        title,
    })
}

/// Good groups that differ in their task alone, at least two: those of the first model, method and level that have them.
fn alike<'g, 'a>(good: &[&'g Group<'a>]) -> Vec<Vec<&'g Group<'a>>> {
    let mut sets: Vec<Vec<&Group>> = Vec::new();
    for group in good.iter().filter(|group| prunes(group)) {
        let key = |group: &Group| (group.method.to_owned(), group.model.to_owned(), group.level_text());
        // Settings may differ between tasks: data and their length do.
        match sets.iter_mut().find(|set| key(set[0]) == key(group)) {
            Some(set) if set.iter().any(|own| own.task == group.task) => {}
            Some(set) => set.push(group),
            None => sets.push(vec![group]),
        }
    }
    sets.retain(|set| set.len() > 1);
    sets
}

/// Survivors over tasks, and the units that two tasks share.
pub fn over_tasks(good: &[&Group]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for set in alike(good) {
        let first = set[0];
        let seeds_of_all: Vec<u64> = first
            .seeds()
            .into_iter()
            .filter(|seed| set.iter().all(|group| group.seeds().contains(seed)))
            .collect();
        let masks = |group: &Group, of: &dyn Fn(&Run) -> Vec<bool>| -> Vec<Vec<bool>> {
            let runs = group.runs.iter().filter(|run| seeds_of_all.contains(&run.seed));
            runs.map(|run| of(run)).collect()
        };
        let heads: Vec<Vec<Vec<bool>>> =
            set.iter().map(|group| masks(group, &|run| run.head_flags())).collect();
        let ffns: Vec<Vec<Vec<bool>>> =
            set.iter().map(|group| masks(group, &|run| run.ffns.clone())).collect();
        let (Some(found), width) = (survival(&heads), first.runs[0].heads[0].len()) else { continue };
        let strips = survival(&ffns);
        let tasks: Vec<String> = set.iter().map(|group| group.task.to_owned()).collect();
        let most = set.len() as f64;
        let panel = |title, values: &[f64], strip: Option<Vec<f64>>, most| Panel {
            title,
            values: rows(values, width),
            rows: numbers(values.len() / width),
            columns: numbers(width),
            row_name: "layer",
            column_name: "head",
            most,
            decimals: 1,
            strip: strip.map(|strip| ("FFN", strip)),
        };
        let what = format!("{} {}", first.method, first.level_text());
        let title = format!("Survivors over {} tasks: {what}", set.len());
        figures.push(Figure {
            name: file_name(&format!("survivors over tasks {what} {}", first.model)),
            caption: format!(
                "In how many of {} tasks ({}) the ticket keeps each head and FFN of {}: mean and standard deviation (n − 1) over \
                 {}.",
                set.len(),
                tasks.join(", "),
                first.model,
                seeds(seeds_of_all.len())
            ),
            svg: heat_map::draw(
                &[
                    panel("tasks that keep it, mean", &found.mean, strips.as_ref().map(|s| s.mean.clone()), most),
                    panel("standard deviation", &found.deviation, strips.map(|s| s.deviation), most / 2.0),
                ],
                &title,
            ),
            title,
        });
        let overlap = |a: usize| -> Vec<f64> {
            (0..set.len()).map(|b| shared(&heads[a], &heads[b]).map_or(f64::NAN, |mean| mean.mean)).collect()
        };
        let title = format!("Heads that two tasks share: {what}");
        let total = heads[0].first().map_or(1, Vec::len);
        figures.push(Figure {
            name: file_name(&format!("overlap {what} {}", first.model)),
            caption: format!(
                "How many of {total} heads of {} the tickets of two tasks both keep, mean over {}; on the diagonal how many the \
                 task keeps.",
                first.model,
                seeds(seeds_of_all.len())
            ),
            svg: heat_map::draw(
                &[Panel {
                    title: "shared heads",
                    values: (0..set.len()).map(overlap).collect(),
                    rows: tasks.clone(),
                    columns: tasks,
                    row_name: "",
                    column_name: "",
                    most: total as f64,
                    decimals: 1,
                    strip: None,
                }],
                &title,
            ),
            title,
        });
    }
    figures
}
