//! The table of a store's records: means over seeds, of equal settings alone.

use crate::sweep::{records::Summary, status::Overview};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Settings = BTreeMap<String, String>;

/// Task, method, mode, metric, and the settings that not all records share.
type Group<'a> = ([&'a str; 4], String);

/// The settings whose values differ among these.
fn differing(all: &[Settings]) -> BTreeSet<&str> {
    let mut differing = BTreeSet::new();
    // Nearly all are like the first one.
    for settings in all.iter().filter(|settings| **settings != all[0]) {
        let keys = settings.keys().chain(all[0].keys());
        differing.extend(keys.filter(|key| settings.get(*key) != all[0].get(*key)).map(String::as_str));
    }
    differing
}

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
pub fn table(overview: &Overview) -> String {
    let summaries: Vec<&Summary> = overview.records.iter().map(|record| &record.summary).collect();
    if summaries.is_empty() {
        return format!("no records in {}\n", overview.store.display());
    }
    let settings: Vec<Settings> = summaries.par_iter().map(|summary| summary.settings()).collect();
    let differing = differing(&settings);
    let mut groups: BTreeMap<Group, Vec<[f64; 3]>> = BTreeMap::new();
    for (summary, settings) in summaries.iter().zip(&settings) {
        let own = differing.iter().filter_map(|key| Some(format!("{key}={}", settings.get(*key)?)));
        let names = [&summary.task, &summary.method, &summary.mode, &summary.metric].map(String::as_str);
        let group = (names, own.collect::<Vec<_>>().join("\n"));
        groups.entry(group).or_default().push(summary.scores());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut head = vec!["task", "method", "mode", "metric", "records", "full", "pruned", "retrained"];
    if !differing.is_empty() {
        head.insert(4, "settings that differ");
    }
    table.set_header(&head);
    for ((names, settings), scores) in groups {
        let mut row: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if !differing.is_empty() {
            row.push(settings);
        }
        row.push(scores.len().to_string());
        row.extend([0, 1, 2].map(|n| mean(&scores.iter().map(|score| score[n]).collect::<Vec<_>>())));
        table.add_row(row);
    }
    table
        .column_iter_mut()
        .skip(head.len() - 4)
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let records = summaries.len();
    format!("{records} records, means ± standard deviations over those of equal settings\n{table}\n")
}
