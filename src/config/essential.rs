//! What of a run's settings enters hashes and comparisons, so that a new setting changes neither the id of an old stage nor
//! the name of an old run.

use super::{ExperimentConfig, Section};
use crate::task::TaskId;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The settings that stages and runs have been named by since format version 1, and are with any value. **This list does not
/// grow**: a setting that is not in it is left out while it has its default.
const ALWAYS: &[&str] = &[
    "task",
    "mode",
    "method",
    "seed",
    "preset",
    "model",
    "data.dir",
    "data.max_length",
    "data.train_limit",
    "data.dev_limit",
    "train.learning_rate",
    "train.batch_size",
    "train.epochs",
    "train.warmup",
    "train.weight_decay",
    "train.clip",
    "train.beta1",
    "train.beta2",
    "train.epsilon",
    "train.dropout",
    "train.attention_dropout",
    "importance.estimator",
    "importance.split",
    "importance.pruned_units",
    "importance.batch_size",
    "search.threshold",
    "search.head_step",
    "search.stale",
    "control.random",
    "seeds.order",
    "seeds.init",
    "seeds.dropout",
    "run.device",
    "run.dtype",
    "run.threads",
    "run.checkpoint_every",
];

/// Every setting with its default; a run has a task and a model of its own.
static DEFAULTS: LazyLock<Value> = LazyLock::new(|| {
    let mut defaults = json!(ExperimentConfig::new(TaskId::Demo, "", ""));
    defaults["task"] = json!("");
    defaults
});

/// The settings of a record or a run, `config`, with those that it lacks at their defaults: the record of an earlier
/// version is as one of this version that leaves the newer settings alone.
pub fn filled(config: &Value) -> Value {
    let mut all = config.clone();
    fill(&mut all, &DEFAULTS);
    all
}

/// [`filled`] without the settings, added since the first format version, that have their defaults.
pub fn essential(config: &Value) -> Value {
    of(config, &DEFAULTS)
}

/// Serialises one section of a run's settings, of which it leaves out what [`essential`] does.
pub fn essential_section<T: Section + Serialize, S: Serializer>(
    section: &T,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    essential(&json!({ T::NAME: section }))[T::NAME].serialize(serializer)
}

fn of(config: &Value, defaults: &Value) -> Value {
    let mut all = config.clone();
    fill(&mut all, defaults);
    prune(&mut all, defaults, "");
    // Where a user's task lies, and its line of help.
    if let Some(Value::Object(task)) = all.get_mut("task") {
        task.retain(|key, _| key != "folder" && key != "about");
    }
    all
}

fn fill(config: &mut Value, defaults: &Value) {
    let (Value::Object(config), Value::Object(defaults)) = (config, defaults) else { return };
    for (key, default) in defaults {
        match config.get_mut(key) {
            Some(value) => fill(value, default),
            None => _ = config.insert(key.clone(), default.clone()),
        }
    }
}

fn prune(config: &mut Value, defaults: &Value, at: &str) {
    let (Value::Object(config), Value::Object(defaults)) = (config, defaults) else { return };
    config.retain(|key, value| {
        let path = join(at, key);
        let Some(default) = defaults.get(key) else { return true };
        if default.is_object() {
            prune(value, default, &path);
            return has_settings(&path) || value.as_object().is_none_or(|section| !section.is_empty());
        }
        ALWAYS.contains(&&*path) || value != default
    });
}

/// Whether it is a section of format version 1.
fn has_settings(section: &str) -> bool {
    ALWAYS.iter().any(|path| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_format_version_1_is_essential() {
        let config = json!(ExperimentConfig::new(TaskId::Rte, "model", "glue"));
        let essential = essential(&config);
        for path in ALWAYS {
            let pointer = format!("/{}", path.replace('.', "/"));
            assert!(
                config.pointer(&pointer).is_some(),
                "{path} is no setting any more: old ids would change"
            );
            assert_eq!(essential.pointer(&pointer), config.pointer(&pointer));
        }
    }

    #[test]
    fn a_new_setting_counts_only_where_it_is_not_the_default_and_old_records_have_the_default() {
        let old = essential(&json!(ExperimentConfig::new(TaskId::Rte, "model", "glue")));
        let mut defaults = DEFAULTS.clone();
        defaults["train"]["optimizer"] = json!("adamw");
        defaults["prune"] = json!({ "scope": "global", "levels": [1, 2] });
        let mut new = old.clone();
        new["train"]["optimizer"] = json!("adamw");
        new["prune"] = defaults["prune"].clone();
        assert_eq!(of(&new, &defaults), old);
        assert_eq!(of(&old, &defaults), old);
        new["train"]["optimizer"] = json!("adamax");
        new["prune"]["scope"] = json!("layer");
        let other = of(&new, &defaults);
        assert_eq!(other["train"]["optimizer"], "adamax");
        assert_eq!(other["prune"], json!({ "scope": "layer" }));
        assert_ne!(other, old);
    }
}
