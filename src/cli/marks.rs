//! The warnings of records as letters in a table, and their legend; and the failures of runs, equal ones once.

use crate::{
    error::{message, printable},
    sweep::records::Summary,
};
use std::collections::BTreeMap;

/// The kinds of warnings, without their numbers, each with a letter and the number of records that have it.
pub struct Marks<'a> {
    kinds: BTreeMap<&'a str, (String, usize)>,
    records: usize,
}

impl<'a> Marks<'a> {
    pub fn of(summaries: &[&'a Summary]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for summary in summaries {
            let mut own: Vec<&str> = summary.warnings.iter().map(|text| kind(text)).collect();
            own.sort_unstable();
            own.dedup();
            own.into_iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
        }
        let lettered =
            counts.into_iter().zip('a'..).map(|((kind, n), letter)| (kind, (letter.to_string(), n)));
        Self { kinds: lettered.collect(), records: summaries.len() }
    }

    /// Whether no warning tells records apart.
    pub fn is_empty(&self) -> bool {
        self.kinds.values().all(|(_, n)| *n == self.records)
    }

    /// `a, b (3)`: all of these records have warning a, three have warning b. What all records of the table have is in the
    /// legend alone.
    pub fn mark(&self, group: &[&Summary]) -> String {
        let counted =
            self.kinds.iter().filter(|(_, (_, n))| *n < self.records).filter_map(|(wanted, (letter, _))| {
                let has = |summary: &&&Summary| summary.warnings.iter().any(|text| kind(text) == *wanted);
                match group.iter().filter(has).count() {
                    0 => None,
                    n if n == group.len() => Some(letter.clone()),
                    n => Some(format!("{letter} ({n})")),
                }
            });
        counted.collect::<Vec<_>>().join(", ")
    }

    /// A line for each kind: `warning a: the full model is no better than the majority class: 12 of 18 runs`.
    pub fn legend(&self, what: &str) -> String {
        let line = |(kind, (letter, n)): (&&str, &(String, usize))| match *n == self.records {
            true if *n > 1 => format!("warning of all {n} {what}: {}\n", message(kind)),
            true => format!("warning: {}\n", message(kind)),
            false => format!("warning {letter}: {}: {n} of {} {what}\n", message(kind), self.records),
        };
        self.kinds.iter().map(line).collect()
    }
}

fn kind(warning: &str) -> &str {
    warning.split_once([':', ';']).map_or(warning, |(kind, _)| kind)
}

/// A line for each error of these runs, given by label and error. Errors that differ in numbers and hashes alone are equal.
pub fn failures<'a>(failed: impl IntoIterator<Item = (String, &'a str)>) -> String {
    let mut groups: Vec<(String, Vec<(String, &str)>)> = Vec::new();
    for (label, error) in failed {
        let plain = without_numbers(error, &label);
        match groups.iter_mut().find(|(known, _)| *known == plain) {
            Some((_, alike)) => alike.push((label, error)),
            None => groups.push((plain, vec![(label, error)])),
        }
    }
    let line = |(_, alike): &(String, Vec<(String, &str)>)| {
        let (label, error) = &alike[0];
        let (label, error) = (printable(label), message(error));
        match alike.len() {
            1 => format!("failed: {label}: {error}\n"),
            n => format!("failed: {n} alike, such as {label}: {error}\n"),
        }
    };
    groups.iter().map(line).collect()
}

fn without_numbers(error: &str, label: &str) -> String {
    let known: Vec<&str> = label.split(' ').collect();
    let words = error.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let kept = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()) && !known.contains(word));
    kept.collect::<Vec<_>>().join(" ")
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
        let at = |score: &str| format!("no better: {score}; think");
        let records = [record(&["shared"]), record(&["shared", &at("0.5")]), record(&[&at("0.6"), "shared"])];
        let all: Vec<&Summary> = records.iter().collect();
        let marks = Marks::of(&all);
        assert_eq!(
            marks.legend("runs"),
            "warning a: no better: 2 of 3 runs\nwarning of all 3 runs: shared\n"
        );
        assert_eq!([marks.mark(&all), marks.mark(&all[1..]), marks.mark(&all[..1])], ["a (2)", "a", ""]);
        assert!(!marks.is_empty() && Marks::of(&all[1..]).is_empty());
    }

    #[test]
    fn equal_failures_are_shown_once_with_their_number() {
        let error = |step: u32| format!("training diverged at step {step}");
        let (one, two) = (error(1), error(25));
        let failed = [
            ("rte good seed 1".to_owned(), &*one),
            ("rte good seed 2".to_owned(), &*two),
            ("b".to_owned(), "other"),
        ];
        assert_eq!(
            failures(failed),
            "failed: 2 alike, such as rte good seed 1: training diverged at step 1\nfailed: b: other\n"
        );
    }
}
