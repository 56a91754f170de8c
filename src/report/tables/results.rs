//! Means over seeds of every group.

use super::{number, text};
use crate::report::{
    group::{Group, Mean},
    run::PARTS,
    table::{Cell, Column, Join, Shape, Table},
};

/// A row for each group.
pub fn results(groups: &[Group]) -> Table {
    let mut columns = vec![
        text("task", "task"),
        text("method", "method"),
        text("mode", "mode"),
        text("level", "level"),
        text("model", "model"),
        text("settings", "settings that differ"),
        text("metric", "metric"),
        Column::new("n", "n", Shape::Count),
    ];
    let means = [
        ("full_mean", "full", "full_std"),
        ("pruned_mean", "pruned", "pruned_std"),
        ("retrained_mean", "retrained", "retrained_std"),
    ];
    for (mean, title, deviation) in means {
        columns
            .extend([number(mean, title, 4), Column::joined(deviation, Shape::Decimals(4), Join::Deviation)]);
    }
    columns.extend([
        Column::new("pruned_share_of_full", "pruned of full", Shape::Percent(1)).extra(),
        Column::new("retrained_share_of_full", "retrained of full", Shape::Percent(1)).extra(),
        Column::new("heads_kept_mean", "heads", Shape::Decimals(1)),
        Column::joined("heads_kept_std", Shape::Decimals(1), Join::Deviation),
        Column::joined("heads_total", Shape::Count, Join::Total),
        Column::new("ffns_kept_mean", "FFNs", Shape::Decimals(1)),
        Column::joined("ffns_kept_std", Shape::Decimals(1), Join::Deviation),
        Column::joined("ffns_total", Shape::Count, Join::Total),
        Column::new("encoder_weights_kept_mean", "encoder weights", Shape::Percent(1)).extra(),
        Column::joined("encoder_weights_kept_std", Shape::Percent(1), Join::Deviation),
        number("majority", "majority", 4).extra(),
        number("bag_of_words_mean", "bag of words", 4).extra(),
        Column::joined("bag_of_words_std", Shape::Decimals(4), Join::Deviation),
        Column::hidden("seeds", Shape::Text),
    ]);
    let rows = groups.iter().map(|group| row(group).into_iter().collect());
    Table {
        name: "results",
        caption: "Scores on the development set, and what is left of heads, FFNs and the encoder's weights: means ± standard \
                  deviations (n − 1) over n seeds of equal settings, model and data."
            .to_owned(),
        columns,
        rows: rows.collect(),
        notes: Vec::new(),
    }
    .without_empty()
}

fn pair(mean: Option<Mean>) -> [Cell; 2] {
    [mean.map(|mean| mean.mean).into(), mean.and_then(|mean| mean.deviation).into()]
}

fn row(group: &Group) -> Vec<Cell> {
    let mut row: Vec<Cell> = vec![
        group.task.into(),
        group.method.into(),
        group.mode.into(),
        group.level_text().into(),
        group.model.into(),
        group.settings.join(" ").into(),
        group.metric.into(),
        group.runs.len().into(),
    ];
    let means: Vec<Option<Mean>> = (0..PARTS.len()).map(|part| Mean::of(&group.scores(part))).collect();
    row.extend(means.iter().flat_map(|mean| pair(*mean)));
    let share = |part: usize| Some(means[part]?.mean / means[0]?.mean);
    row.extend([share(1).into(), share(2).into()]);
    let total = |of: Option<u32>| of.map_or(Cell::Empty, |total| Cell::Count(total.into()));
    let first = &group.runs[0].kept;
    row.extend(pair(group.mean(|run| run.kept.heads_kept.map(f64::from))));
    row.push(total(first.heads_total));
    row.extend(pair(group.mean(|run| run.kept.ffns_kept.map(f64::from))));
    row.push(total(first.ffns_total));
    row.extend(pair(group.mean(|run| run.kept.encoder_weights_kept)));
    row.push(group.mean(|run| run.majority).map(|mean| mean.mean).into());
    row.extend(pair(group.mean(|run| run.bag_of_words)));
    row.push(group.seeds().iter().map(u64::to_string).collect::<Vec<_>>().join(" ").into());
    row
}
