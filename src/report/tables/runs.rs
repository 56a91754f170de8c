//! A row for each run.

use super::{number, text};
use crate::report::{
    run::Run,
    table::{Cell, Column, Join, Shape, Table},
};

/// The long format: all metrics of every run.
pub fn runs(runs: &[Run]) -> Table {
    let mut columns = vec![
        text("task", "task"),
        text("method", "method"),
        text("mode", "mode"),
        text("level", "level"),
        Column::new("seed", "seed", Shape::Count),
        text("model", "model"),
        Column::hidden("model_sha256", Shape::Text),
        text("settings", "settings that differ"),
        text("metric", "metric"),
        number("full", "full", 4),
        number("pruned", "pruned", 4),
        number("retrained", "retrained", 4),
        Column::new("heads_kept", "heads", Shape::Count),
        Column::joined("heads_total", Shape::Count, Join::Total),
        Column::new("ffns_kept", "FFNs", Shape::Count),
        Column::joined("ffns_total", Shape::Count, Join::Total),
        Column::new("encoder_weights_kept", "encoder weights", Shape::Percent(1)).extra(),
        Column::hidden("all_weights_kept", Shape::Percent(1)),
        number("majority", "majority", 4).extra(),
        number("bag_of_words", "bag of words", 4).extra(),
        Column::new("warnings", "warnings", Shape::Count),
    ];
    let mut metrics: Vec<(&'static str, usize, &'static str)> = Vec::new();
    for (metric, keys) in METRICS {
        for (part, key) in keys.into_iter().enumerate() {
            let has = |run: &Run| run.metric != metric && run.metrics[part].contains_key(metric);
            if runs.iter().any(has) {
                metrics.push((metric, part, key));
            }
        }
    }
    columns.extend(metrics.iter().map(|(_, _, key)| Column::hidden(key, Shape::Decimals(4))));
    columns.extend(["record", "written", "again"].map(|key| Column::hidden(key, Shape::Text)));
    let rows = runs.iter().map(|run| {
        let mut row = row(run);
        row.extend(
            metrics.iter().map(|(metric, part, _)| Cell::from(run.metrics[*part].get(*metric).copied())),
        );
        row.extend([run.place(), run.written.clone(), run.again()].map(Cell::from));
        row
    });
    Table {
        name: "runs",
        caption: "Every run: scores on the development set, and what is left of heads, FFNs and the encoder's weights."
            .to_owned(),
        rows: rows.collect(),
        columns,
        notes: Vec::new(),
    }
    .without_empty()
}

/// The metrics of records, with the keys of their columns for the full, the pruned and the retrained model.
const METRICS: [(&str, [&str; 3]); 9] = [
    ("accuracy", ["full_accuracy", "pruned_accuracy", "retrained_accuracy"]),
    (
        "accuracy_mismatched",
        ["full_accuracy_mismatched", "pruned_accuracy_mismatched", "retrained_accuracy_mismatched"],
    ),
    ("f1", ["full_f1", "pruned_f1", "retrained_f1"]),
    ("f1_mismatched", ["full_f1_mismatched", "pruned_f1_mismatched", "retrained_f1_mismatched"]),
    ("exact_match", ["full_exact_match", "pruned_exact_match", "retrained_exact_match"]),
    ("matthews", ["full_matthews", "pruned_matthews", "retrained_matthews"]),
    ("pearson", ["full_pearson", "pruned_pearson", "retrained_pearson"]),
    ("spearman", ["full_spearman", "pruned_spearman", "retrained_spearman"]),
    ("corr", ["full_corr", "pruned_corr", "retrained_corr"]),
];

fn row(run: &Run) -> Vec<Cell> {
    let count = |count: Option<u32>| count.map_or(Cell::Empty, |count| Cell::Count(count.into()));
    let level = run.level.as_ref().map(crate::report::run::Level::text);
    let settings = run.settings.iter().map(|(key, value)| format!("{key}={value}"));
    vec![
        run.task.as_str().into(),
        run.method.as_str().into(),
        run.mode.as_str().into(),
        level.unwrap_or_default().into(),
        i64::try_from(run.seed).map_or(Cell::Empty, Cell::Count),
        run.model.as_str().into(),
        run.model_sha256.as_str().into(),
        settings.collect::<Vec<_>>().join(" ").into(),
        run.metric.as_str().into(),
        run.scores[0].into(),
        run.scores[1].into(),
        run.scores[2].into(),
        count(run.kept.heads_kept),
        count(run.kept.heads_total),
        count(run.kept.ffns_kept),
        count(run.kept.ffns_total),
        run.kept.encoder_weights_kept.into(),
        run.kept.all_weights_kept.into(),
        run.majority.into(),
        run.bag_of_words.into(),
        run.warnings.len().into(),
    ]
}
