//! Labels of models and data in tables: the same label for equal contents, different labels for different contents.

use crate::sweep::records::{Model, Summary};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// SHA-256 by file.
type Hashes = BTreeMap<String, String>;

/// The label of each record's model: its name, with the start of the differing hash where models of one name differ. A
/// model found under several names has the first of them.
pub fn model_labels(summaries: &[&Summary]) -> Vec<String> {
    let contents = configs_filled_in(summaries);
    let mut names: BTreeMap<&[String; 3], &str> = BTreeMap::new();
    for (content, summary) in contents.iter().zip(summaries) {
        let name = names.entry(content).or_insert(&summary.model.name);
        *name = (*name).min(&summary.model.name);
    }
    let label = |content: &[String; 3]| {
        let name = names[content];
        let others: Vec<_> = names.iter().filter(|(_, other)| **other == name).map(|(c, _)| *c).collect();
        let differing = (0..3).find(|part| others.iter().any(|other| other[*part] != content[*part]));
        match differing {
            None => name.to_owned(),
            Some(part) => {
                format!("{name} ({} {})", ["sha256", "tokenizer", "config"][part], short(&content[part]))
            }
        }
    };
    let labels: BTreeMap<&[String; 3], String> = names.keys().map(|c| (*c, label(c))).collect();
    contents.iter().map(|content| labels[content].clone()).collect()
}

/// Hashes of weights, tokenizer and config. Records of earlier versions have no hash of the config; where all other
/// records of the same weights have one and the same, it is theirs too.
fn configs_filled_in(summaries: &[&Summary]) -> Vec<[String; 3]> {
    let mut known: BTreeMap<[&str; 2], BTreeSet<&str>> = BTreeMap::new();
    let files = |model: &Model| -> [String; 2] { [model.sha256.clone(), model.tokenizer.clone()] };
    for Model { sha256, tokenizer, config, .. } in summaries.iter().map(|summary| &summary.model) {
        known.entry([sha256, tokenizer]).or_default().extend(config.as_deref());
    }
    let config = |model: &Model| match (&model.config, &known[&[&*model.sha256, &*model.tokenizer]]) {
        (Some(config), _) => config.clone(),
        (None, known) if known.len() == 1 => known.iter().copied().collect(),
        (None, _) => "unknown".to_owned(),
    };
    let content = |summary: &&Summary| {
        let [sha256, tokenizer] = files(&summary.model);
        [sha256, tokenizer, config(&summary.model)]
    };
    summaries.iter().map(content).collect()
}

/// The label of each record's data, the folder and the first file that differs; `None` where all records of the task
/// have the same data.
pub fn data_labels(summaries: &[&Summary]) -> Vec<Option<String>> {
    let mut by_task: BTreeMap<&str, BTreeMap<&Hashes, &str>> = BTreeMap::new();
    for summary in summaries {
        let folders = by_task.entry(&summary.task).or_default();
        let dir = folders.entry(&summary.data.sha256).or_insert(summary.data_dir());
        *dir = (*dir).min(summary.data_dir());
    }
    let label = |summary: &&Summary| {
        let others = &by_task[&*summary.task];
        let hashes = &summary.data.sha256;
        let differs = |file: &&String| others.keys().any(|other| other.get(*file) != hashes.get(*file));
        if others.len() == 1 {
            return None;
        }
        let dir = Path::new(others[&summary.data.sha256]);
        let dir = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
        let file = hashes.keys().find(differs);
        Some(file.map_or_else(
            || format!("{dir} (unknown)"),
            |file| format!("{dir} ({file} {})", short(&hashes[file])),
        ))
    };
    summaries.iter().map(label).collect()
}

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(model: [&str; 4], dev: &str) -> Summary {
        let scores = json!({ "metrics": { "accuracy": 0.5 } });
        let [name, sha256, tokenizer, config] = model;
        let config = (!config.is_empty()).then_some(config);
        serde_json::from_value(json!({
            "task": "rte", "metric": "accuracy", "method": "heads", "mode": "good", "seed": 1,
            "full": scores, "pruned": scores, "retrained": scores,
            "model": { "name": name, "sha256": sha256, "tokenizer": tokenizer, "config": config },
            "data": { "sha256": { "dev.tsv": dev, "train.tsv": "t" } },
            "config": { "data": { "dir": "some/glue" } },
        }))
        .unwrap()
    }

    fn models(records: &[[&str; 4]]) -> Vec<String> {
        let records: Vec<Summary> = records.iter().map(|model| record(*model, "d")).collect();
        model_labels(&records.iter().collect::<Vec<_>>())
    }

    #[test]
    fn models_of_one_name_are_told_apart_by_the_hash_that_differs() {
        assert_eq!(models(&[["m", "0123456789", "t", "c"], ["m", "0123456789", "t", "c"]]), ["m", "m"]);
        let two = models(&[["m", "0123456789", "t", "c"], ["m", "abcdef0123", "t", "c"]]);
        assert_eq!(two, ["m (sha256 01234567)", "m (sha256 abcdef01)"]);
        assert_eq!(
            models(&[["m", "w", "t", "c"], ["m", "w", "u", "c"]]),
            ["m (tokenizer t)", "m (tokenizer u)"]
        );
        assert_eq!(models(&[["m", "w", "t", "c"], ["m", "w", "t", "d"]]), ["m (config c)", "m (config d)"]);
    }

    #[test]
    fn one_model_under_two_names_is_one() {
        assert_eq!(models(&[["b", "w", "t", "c"], ["a", "w", "t", "c"]]), ["a", "a"]);
    }

    #[test]
    fn a_record_without_the_configs_hash_is_of_the_only_one_that_is_known() {
        assert_eq!(models(&[["m", "w", "t", ""], ["m", "w", "t", "c"]]), ["m", "m"]);
        let three = models(&[["m", "w", "t", ""], ["m", "w", "t", "c"], ["m", "w", "t", "d"]]);
        assert_eq!(three, ["m (config unknown)", "m (config c)", "m (config d)"]);
    }

    #[test]
    fn data_are_named_where_records_of_a_task_differ_in_them() {
        let records = [record(["m", "w", "t", "c"], "1"), record(["m", "w", "t", "c"], "2")];
        let labels = data_labels(&records.iter().collect::<Vec<_>>());
        assert_eq!(labels, [Some("glue (dev.tsv 1)".to_owned()), Some("glue (dev.tsv 2)".to_owned())]);
        assert_eq!(data_labels(&[&records[0], &records[0]]), [None, None]);
    }
}
