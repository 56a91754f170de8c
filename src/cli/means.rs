//! The table of a store's records: means over seeds, for equal settings only.

use super::contents::{data_labels, model_labels};
use crate::{
    error::{excerpt, message},
    sweep::{records::Summary, status::Overview},
};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Settings = BTreeMap<String, String>;

/// Task, method, mode, metric, and the settings in which records differ.
type Group<'a> = ([&'a str; 4], String);

/// The settings whose values differ among these.
fn differing(all: &[Settings]) -> BTreeSet<&str> {
    let mut differing = BTreeSet::new();
    // Nearly all equal the first one.
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

/// The kinds of warnings in the records, without their numbers, each with a letter.
fn kinds<'a>(summaries: &[&'a Summary]) -> BTreeMap<&'a str, String> {
    let all: BTreeSet<&str> =
        summaries.iter().flat_map(|summary| summary.warnings.iter()).map(|text| kind(text)).collect();
    all.into_iter().zip('a'..).map(|(kind, letter)| (kind, letter.to_string())).collect()
}

fn kind(warning: &str) -> &str {
    warning.split_once([':', ';']).map_or(warning, |(kind, _)| kind)
}

/// `a, b (3)`: all of these records have warning a, three have warning b.
fn warned(group: &[&Summary], kinds: &BTreeMap<&str, String>) -> String {
    let counted = kinds.iter().filter_map(|(wanted, letter)| {
        let n =
            group.iter().filter(|summary| summary.warnings.iter().any(|text| kind(text) == *wanted)).count();
        match n {
            0 => None,
            n if n == group.len() => Some(letter.clone()),
            n => Some(format!("{letter} ({n})")),
        }
    });
    counted.collect::<Vec<_>>().join(", ")
}

/// Means over the records of each task × method × mode × settings.
pub fn table(overview: &Overview) -> String {
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
        let names = [&summary.task, &summary.method, &summary.mode, &summary.metric].map(String::as_str);
        let group = (names, own.collect::<Vec<_>>().join("\n"));
        groups.entry(group).or_default().push(summary);
    }
    let kinds = kinds(&summaries);
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut head = vec!["task", "method", "mode", "metric", "records", "full", "pruned", "retrained"];
    if !differing.is_empty() {
        head.insert(4, "settings that differ");
    }
    let numbers = head.len() - 4..head.len();
    if !kinds.is_empty() {
        head.push("warnings");
    }
    table.set_header(&head);
    for ((names, settings), group) in groups {
        let mut row: Vec<String> = names.into_iter().map(|name| excerpt(name).into_owned()).collect();
        if !differing.is_empty() {
            row.push(settings.lines().map(excerpt).collect::<Vec<_>>().join("\n"));
        }
        row.push(group.len().to_string());
        let scores: Vec<[f64; 3]> = group.iter().map(|summary| summary.scores()).collect();
        row.extend([0, 1, 2].map(|n| mean(&scores.iter().map(|score| score[n]).collect::<Vec<_>>())));
        if !kinds.is_empty() {
            row.push(warned(&group, &kinds));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().take(numbers.end).skip(numbers.start) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let legend: String =
        kinds.iter().map(|(kind, letter)| format!("warning {letter}: {}\n", message(kind))).collect();
    let records = summaries.len();
    format!("{records} records, means ± standard deviations over those of equal settings\n{table}\n{legend}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_tells_what_all_or_some_of_its_records_warn_of() {
        let record = |warnings: &[&str]| -> Summary {
            let scores = json!({ "metrics": { "accuracy": 0.5 } });
            serde_json::from_value(json!({
                "task": "rte", "metric": "accuracy", "method": "heads", "mode": "good", "seed": 1,
                "full": scores, "pruned": scores, "retrained": scores, "warnings": warnings,
            }))
            .unwrap()
        };
        let at = |score: &str| format!("at the baseline: {score}; think");
        let records = [record(&["shared"]), record(&["shared", &at("0.5")]), record(&[&at("0.6"), "shared"])];
        let all: Vec<&Summary> = records.iter().collect();
        let kinds = kinds(&all);
        let known: Vec<(&str, &str)> = kinds.iter().map(|(kind, letter)| (*kind, letter.as_str())).collect();
        assert_eq!(known, [("at the baseline", "a"), ("shared", "b")]);
        assert_eq!(warned(&all, &kinds), "a (2), b");
        assert_eq!(warned(&all[..1], &kinds), "b");
    }
}
