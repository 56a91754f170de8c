//! Summaries of a store's records, and which run each belongs to. Runs are compared by their settings and by the
//! contents of their model, data and ticket, or by the names of those where the files are not available.

use super::Run;
use crate::{
    choice::Choice,
    config::filled,
    error::Result,
    experiment::{Roots, run_name_of, settings},
    file,
    store::{Store, names},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// The maximum number of warnings read from a record; a run has a handful.
const MAX_WARNINGS: usize = 100;

fn first_warnings<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    let mut warnings = Vec::<String>::deserialize(deserializer)?;
    warnings.truncate(MAX_WARNINGS);
    Ok(warnings)
}

/// The parts of a record that tables and estimates use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub task: String,
    pub metric: String,
    pub method: String,
    pub mode: String,
    pub seed: u64,
    full: Scores,
    pruned: Scores,
    retrained: Scores,
    #[serde(default, deserialize_with = "first_warnings")]
    pub warnings: Vec<String>,
    #[serde(default)]
    pub ticket: Kept,
    #[serde(default, skip_serializing)]
    pub timing: BTreeMap<String, Option<f64>>,
    #[serde(default, skip_serializing)]
    pub model: Model,
    #[serde(default, skip_serializing)]
    pub data: Data,
    #[serde(default, skip_serializing)]
    stages: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    config: Value,
}

/// What a record's subnetwork keeps; a part is `None` where the record does not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The id of the stage with the ticket.
    #[serde(skip_serializing)]
    pub stage: Option<String>,
    pub heads_kept: Option<u32>,
    pub heads_total: Option<u32>,
    pub ffns_kept: Option<u32>,
    pub ffns_total: Option<u32>,
    pub encoder_weights_kept: Option<f64>,
    pub all_weights_kept: Option<f64>,
}

/// A record's model, by name and by content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Model {
    /// The name on the hub, or the last component of the folder's path.
    pub name: String,
    /// SHA-256 of the weights' file.
    pub sha256: String,
    pub tokenizer: String,
    /// Hash of `config.json`; absent in records of earlier versions.
    pub config: Option<String>,
}

/// A record's data: SHA-256 by file, and their sizes after limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Data {
    pub sha256: BTreeMap<String, String>,
    pub train: Option<Size>,
    pub dev: Option<Size>,
}

/// Examples and tokens of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Size {
    pub examples: u64,
    pub tokens: u64,
}

/// Scores by metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Scores {
    metrics: BTreeMap<String, f64>,
}

/// A file among the records that is not counted as a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ignored {
    pub path: PathBuf,
    pub why: String,
}

/// The records of a store, with what else is read in them.
#[derive(Debug)]
pub struct Records<T = ()> {
    pub found: Vec<(PathBuf, Summary, T)>,
    pub ignored: Vec<Ignored>,
}

impl Summary {
    /// The task's metric for the full, the pruned and the retrained model.
    pub fn scores(&self) -> [f64; 3] {
        [&self.full, &self.pruned, &self.retrained]
            .map(|scores| scores.metrics.get(&self.metric).copied().unwrap_or(f64::NAN))
    }

    /// The id of the stage that fine-tuned the full model.
    pub fn finetuned(&self) -> Option<&str> {
        self.stage("finetune")
    }

    /// The id of a node's stage.
    pub fn stage(&self, node: &str) -> Option<&str> {
        self.stages.get(node).map(String::as_str)
    }

    /// All settings, those that it lacks with their defaults.
    pub fn config(&self) -> Value {
        filled(&self.config)
    }

    /// The ids of all its stages.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.stages.values().map(String::as_str)
    }

    /// Whether a run with these settings takes about as long: the same method, data limits and fraction, length, batch size and
    /// epochs.
    pub fn has_cost_of(&self, config: &Value) -> bool {
        let keys = [
            "/method",
            "/finetuned",
            "/data/max_length",
            "/data/train_limit",
            "/data/fraction",
            "/data/dev_limit",
            "/train/epochs",
            "/train/batch_size",
        ];
        let (own, config) = (filled(&self.config), filled(config));
        keys.iter().all(|key| own.pointer(key) == config.pointer(key))
    }

    /// The value of a setting.
    pub fn setting(&self, pointer: &str) -> Option<&Value> {
        self.config.pointer(pointer)
    }

    /// The name of a run with these settings.
    pub fn run(&self) -> Option<String> {
        run_name_of(&self.config).ok()
    }

    /// Value by key of the settings that results depend on, except those that [`Summary`] has fields for. The preset is
    /// left out since its values are there; model and data, since their contents count, not their names. A ticket file
    /// has the id of the stage that took it up.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let config = filled(&self.config);
        let mut out: BTreeMap<String, String> =
            leaves(&config).into_iter().map(|(key, value)| (key, plain(value))).collect();
        for key in ["task", "method", "mode", "seed", "preset", "model", "data.dir"] {
            out.remove(key);
        }
        if let Some(path) = out.get_mut("ticket") {
            path.clone_from(self.stages.get("ticket").unwrap_or(&String::new()));
        }
        out.retain(|key, _| key == "run.dtype" || !(key.starts_with("run.") || key.starts_with("task.")));
        out
    }

    /// A text that is equal for all runs with these settings, whatever the contents of their model and data.
    pub fn settings_key(&self) -> Option<String> {
        settings(&self.config).ok()
    }

    /// Whether the size of its ticket was asked for.
    pub fn has_level(&self) -> bool {
        ["/prune/sparsity", "/prune/level"]
            .iter()
            .any(|key| self.config.pointer(key).is_some_and(|value| !value.is_null()))
    }

    /// The data's folder.
    pub fn data_dir(&self) -> &str {
        self.config.pointer("/data/dir").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Every value that is not a table, by its dotted key: `data.max_length`, 128.
pub fn leaves(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(at: &str, value: &'a Value, out: &mut Vec<(String, &'a Value)>) {
        let Value::Object(table) = value else { return out.push((at.to_owned(), value)) };
        for (key, value) in table {
            walk(&if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, value, out);
        }
    }
    let mut out = Vec::new();
    walk("", value, &mut out);
    out
}

/// A value as people write it: a text without quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What identifies the record of a run.
pub struct Expected {
    settings: String,
    name: String,
    roots: Option<Roots>,
}

impl Expected {
    /// `roots` are by the present contents of its model, data and ticket, or `None` if these are not available; then their
    /// names decide.
    pub fn new(run: &Run, roots: Option<Roots>) -> Result<Self> {
        let settings = settings(&json!(run.config))?;
        Ok(Self { settings, name: run.name.clone(), roots })
    }

    /// The record's [`Summary::settings_key`].
    pub fn settings_key(&self) -> &str {
        &self.settings
    }

    pub fn matches(&self, record: &Summary) -> bool {
        record.settings_key().is_some_and(|key| key == self.settings)
            && self.matches_contents(record, record.run().as_deref())
    }

    /// Whether a record with the same settings has the same model, data and ticket, by its stages or its run's name.
    pub fn matches_contents(&self, record: &Summary, run: Option<&str>) -> bool {
        match &self.roots {
            Some(roots) => {
                roots.iter().all(|(name, id)| record.stages.get(*name).is_some_and(|own| own == id.as_str()))
            }
            None => run == Some(&*self.name),
        }
    }
}

/// The record of this run, if there is one.
pub fn find(store: &Store, run: &Run, expected: &Expected) -> Result<Option<(PathBuf, Summary)>> {
    let config = &run.config;
    let last = store.results_path(config.task.name(), config.method.name(), config.mode.name(), config.seed);
    // Records of other settings are in the same folder, as seed-<n>.<hash>.json.
    let dir = last.parent().unwrap_or(&last);
    let beside = names(dir)?.into_iter().filter(|name| seed_of(name) == Some(config.seed));
    let beside = beside.map(|name| dir.join(name)).filter(|path| *path != last);
    let read = |path: PathBuf| Some((read(&path, |_| Ok(())).ok()?.0, path));
    let mut found = [last.clone()].into_iter().chain(beside).filter_map(read);
    Ok(found.find_map(|(summary, path)| expected.matches(&summary).then_some((path, summary))))
}

/// The seed in `seed-<n>.json` or `seed-<n>.<hash12>.json`, the only names of records. A file manager's copy has
/// another.
fn seed_of(name: &str) -> Option<u64> {
    let stem = name.strip_prefix("seed-")?.strip_suffix(".json")?;
    let (seed, hash) = stem.split_once('.').map_or((stem, None), |(seed, hash)| (seed, Some(hash)));
    let hex = |hash: &str| hash.len() == 12 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let plain = seed.bytes().all(|b| b.is_ascii_digit()) && hash.is_none_or(hex);
    plain.then(|| seed.parse().ok())?
}

/// Reads a record, and what `more` finds in its text. The error says why the file is not one, to follow its path.
fn read<T>(
    path: &Path,
    more: impl Fn(&[u8]) -> serde_json::Result<T>,
) -> std::result::Result<(Summary, T), String> {
    let text = file::read(path, file::LARGEST_JSON).map_err(|e| format!("cannot be read: {e}"))?;
    let damaged = |error| format!("is damaged or not a record: {error}");
    let summary: Summary = serde_json::from_slice(&text).map_err(damaged)?;
    for (part, scores) in
        [("full", &summary.full), ("pruned", &summary.pruned), ("retrained", &summary.retrained)]
    {
        if !scores.metrics.get(&summary.metric).is_some_and(|score| score.is_finite()) {
            return Err(format!("has no {} for the {part} model", summary.metric));
        }
    }
    let expected = [&*summary.task, &summary.method, &summary.mode];
    let place: Vec<_> = path.iter().rev().skip(1).take(3).collect();
    let seed = path.file_name().and_then(|name| seed_of(&name.to_string_lossy()));
    if !expected.iter().eq(place.iter().rev()) || seed != Some(summary.seed) {
        return Err(format!(
            "is a copy in the wrong place: it is the record of {} {} {} seed {}",
            summary.task, summary.method, summary.mode, summary.seed
        ));
    }
    Ok((summary, more(&text).map_err(damaged)?))
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// All records of the store, and the files among them that are not records.
pub fn all(store: &Store) -> Result<Records> {
    all_with(store, |_| Ok(()))
}

/// The same, with what `more` finds in each record's text.
pub fn all_with<T: Send>(
    store: &Store,
    more: impl Fn(&[u8]) -> serde_json::Result<T> + Sync,
) -> Result<Records<T>> {
    let mut folders = vec![store.dir().join("results")];
    let mut records = Records { found: Vec::new(), ignored: Vec::new() };
    // results/<task>/<method>/<mode>
    for _ in 0..3 {
        let below = folders.iter().map(|dir| Ok(names(dir)?.into_iter().map(|name| dir.join(name))));
        let below = below.collect::<Result<Vec<_>>>()?.into_iter().flatten();
        let (dirs, files): (Vec<PathBuf>, Vec<PathBuf>) = below.partition(|path| path.is_dir());
        let stray = files.into_iter().filter(|path| is_json(path));
        let why = "is not in a folder <task>/<method>/<mode>; it may be a copy";
        records.ignored.extend(stray.map(|path| Ignored { path, why: why.to_owned() }));
        folders = dirs;
    }
    let files = folders.iter().map(|dir| Ok(names(dir)?.into_iter().map(|name| dir.join(name))));
    let mut files: Vec<PathBuf> =
        files.collect::<Result<Vec<_>>>()?.into_iter().flatten().filter(|path| is_json(path)).collect();
    // Of two equal records, the one with the shorter name is counted: seed-<n>.json.
    files.sort_by_key(|path| (path.parent().map(Path::to_owned), path.as_os_str().len()));
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let summary = match seed_of(&name) {
            Some(_) => read(&path, &more),
            None => Err("does not have the name of a record; it may be a copy".to_owned()),
        };
        let summary = summary.map(|(summary, more)| (summary.settings_key(), summary, more));
        (path, summary)
    };
    let read: Vec<_> = files.into_par_iter().map(read).collect();
    let mut places = HashMap::new();
    for (path, summary) in read {
        match summary {
            Ok((settings, summary, more)) => {
                let first = places.entry((settings, summary.stages.clone())).or_insert_with(|| path.clone());
                if *first == path {
                    records.found.push((path, summary, more));
                } else {
                    let why = format!("is a duplicate of {}", first.display());
                    records.ignored.push(Ignored { path, why });
                }
            }
            Err(why) => records.ignored.push(Ignored { path, why }),
        }
    }
    records.ignored.sort();
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_the_programs_own_names_are_records() {
        for (name, seed) in [
            ("seed-1.json", Some(1)),
            ("seed-1337.0123456789ab.json", Some(1337)),
            ("seed-1 (1).json", None),
            ("seed-1 2.json", None),
            ("Copy of seed-1.json", None),
            ("seed-1.sync-conflict-20260101-120000-ABCDEFG.json", None),
            ("seed-1.0123456789AB.json", None),
            ("seed-+1.json", None),
            ("seed-.json", None),
            ("seed-99999999999999999999.json", None),
        ] {
            assert_eq!(seed_of(name), seed, "{name}");
        }
    }
}
