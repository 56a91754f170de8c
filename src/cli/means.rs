//! The table of a store's records: means over seeds, for equal settings only.

use super::{
    marks::Marks,
    table::{Column, Sheet},
};
use crate::{
    error::excerpt,
    report::{data_labels, differing, model_labels, place},
    sweep::{
        records::{Kept, Summary},
        status::Overview,
    },
};
use rayon::prelude::*;
use std::collections::BTreeMap;

type Settings = BTreeMap<String, String>;

/// Task, method, the place of the mode and its name, metric; and the settings in which records differ.
type Group<'a> = (&'a str, &'a str, (usize, &'a str), &'a str, String);

/// `0.8731`, or with the standard deviation of several `0.8731 ± 0.0112`.
fn mean(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return format!("{mean:.4}");
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    format!("{mean:.4} ± {:.4}", (squares / (n - 1.0)).sqrt())
}

/// Means over the records of each task × method × mode × settings.
pub fn table(overview: &Overview, width: Option<usize>) -> String {
    let summaries: Vec<&Summary> = overview.records.iter().map(|record| &record.summary).collect();
    if summaries.is_empty() {
        return format!("no records in {}\n", overview.store.display());
    }
    let mut settings: Vec<Settings> = summaries.par_iter().map(|summary| summary.settings()).collect();
    for ((settings, model), data) in
        settings.iter_mut().zip(model_labels(&summaries)).zip(data_labels(&summaries))
    {
        settings.insert("model".to_owned(), model);
        settings.extend(data.map(|data| ("data".to_owned(), data)));
    }
    let differing = differing(&settings);
    let mut groups: BTreeMap<Group, Vec<&Summary>> = BTreeMap::new();
    for (summary, settings) in summaries.iter().zip(&settings) {
        let own = differing.iter().filter_map(|key| Some(format!("{key}={}", settings.get(*key)?)));
        let mode = (place(&summary.mode), &*summary.mode);
        let settings = own.collect::<Vec<_>>().join("\n");
        groups
            .entry((&summary.task, &summary.method, mode, &summary.metric, settings))
            .or_default()
            .push(summary);
    }
    let marks = Marks::of(&summaries);
    let mut head = ["task", "method", "mode", "metric"].map(|name| (name, Column::Text)).to_vec();
    if !differing.is_empty() {
        head.push(("settings that differ", Column::Text));
    }
    head.push(("records", Column::Number));
    head.extend(["full", "pruned", "retrained", "heads", "FFNs"].map(|name| (name, Column::Number)));
    head.push(("weights", Column::Extra));
    if !marks.is_empty() {
        head.push(("!", Column::Mark));
    }
    let mut table = Sheet::new(head);
    for ((task, method, (_, mode), metric, settings), group) in groups {
        let mut row: Vec<String> =
            [task, method, mode, metric].map(|name| excerpt(name).into_owned()).to_vec();
        if !differing.is_empty() {
            row.push(settings.lines().map(excerpt).collect::<Vec<_>>().join("\n"));
        }
        row.push(group.len().to_string());
        let scores: Vec<[f64; 3]> = group.iter().map(|summary| summary.scores()).collect();
        row.extend([0, 1, 2].map(|n| mean(&scores.iter().map(|score| score[n]).collect::<Vec<_>>())));
        row.extend(kept(&group.iter().map(|summary| &summary.ticket).collect::<Vec<_>>()));
        if !marks.is_empty() {
            row.push(marks.mark(&group));
        }
        table.row(row);
    }
    let records = summaries.len();
    format!(
        "{records} record{}, means ± standard deviations over those of equal settings\n{}{}",
        if records == 1 { "" } else { "s" },
        table.text(width),
        marks.legend("records")
    )
}

/// Heads, FFNs and the encoder's weights that are left: `12/16`, on average `12.3/16`; empty where a record does not say.
pub fn kept(of: &[&Kept]) -> [String; 3] {
    let mean = |part: &dyn Fn(&Kept) -> Option<f64>| {
        let parts: Option<Vec<f64>> = of.iter().map(|kept| part(kept)).collect();
        parts.map(|parts| parts.iter().sum::<f64>() / parts.len() as f64)
    };
    let units = |kept: &dyn Fn(&Kept) -> Option<u32>, total: &dyn Fn(&Kept) -> Option<u32>| {
        let (kept, total) = (mean(&|of| kept(of).map(f64::from))?, mean(&|of| total(of).map(f64::from))?);
        let kept = if kept.fract() == 0.0 { kept.to_string() } else { format!("{kept:.1}") };
        Some(format!("{kept}/{total}"))
    };
    let heads = units(&|of| of.heads_kept, &|of| of.heads_total);
    let ffns = units(&|of| of.ffns_kept, &|of| of.ffns_total);
    let weights = mean(&|of| of.encoder_weights_kept).map(|part| format!("{:.1} %", 100.0 * part));
    [heads, ffns, weights].map(Option::unwrap_or_default)
}
