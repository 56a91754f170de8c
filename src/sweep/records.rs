//! The records of a store: which run each is of, and what it says in short. Runs are compared by their settings and by
//! what their model and data hold; names decide only where the files are not at hand.

use super::Run;
use crate::{
    choice::Choice,
    config::filled,
    error::Result,
    experiment::{run_name_of, settings},
    file,
    store::{StageId, Store, names},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// So many warnings of a record are looked at; a run has a handful of kinds.
const MOST_WARNINGS: usize = 100;

fn first_warnings<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    let mut warnings = Vec::<String>::deserialize(deserializer)?;
    warnings.truncate(MOST_WARNINGS);
    Ok(warnings)
}

/// What tables want of a record.
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

/// The model that a record is of, by name and by content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Of a folder its last part.
    pub name: String,
    /// Of the weights' file.
    pub sha256: String,
    pub tokenizer: String,
    /// Of `config.json`; records of earlier versions do not have it.
    pub config: Option<String>,
}

/// The data that a record is of: SHA-256 by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Data {
    pub sha256: BTreeMap<String, String>,
}

/// Scores by metric; one of a later version may be no number.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Scores {
    metrics: BTreeMap<String, f64>,
}

/// A file among the records that is not counted as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ignored {
    pub path: PathBuf,
    pub why: String,
}

/// The records of a store.
#[derive(Debug, Default)]
pub struct Records {
    pub found: Vec<(PathBuf, Summary)>,
    pub ignored: Vec<Ignored>,
}

impl Summary {
    /// The deciding metric of the full model, the pruned one and the retrained one.
    pub fn scores(&self) -> [f64; 3] {
        [&self.full, &self.pruned, &self.retrained]
            .map(|scores| scores.metrics.get(&self.metric).copied().unwrap_or(f64::NAN))
    }

    /// The id of the stage that fine-tuned the whole model.
    pub fn finetuned(&self) -> Option<&str> {
        self.stages.get("finetune").map(String::as_str)
    }

    /// The ids of all stages that it names.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.stages.values().map(String::as_str)
    }

    /// Whether its stages took what those of a run with these settings would: equal data, cut alike, for as many epochs.
    pub fn costs_as(&self, config: &Value) -> bool {
        let keys = [
            "/method",
            "/data/max_length",
            "/data/train_limit",
            "/data/dev_limit",
            "/train/epochs",
            "/train/batch_size",
        ];
        let (own, config) = (filled(&self.config), filled(config));
        keys.iter().all(|key| own.pointer(key) == config.pointer(key))
    }

    /// The name that a run of these settings has in sweeps.
    pub fn run(&self) -> Option<String> {
        run_name_of(&self.config).ok()
    }

    /// Value by key, of the settings that an outcome depends on, without what [`Summary`] has fields for. The preset is
    /// where values came from, not what they are; model and data are what they hold, not where they lie.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        flatten("", &filled(&self.config), &mut out);
        for key in ["task", "method", "mode", "seed", "preset", "model", "data.dir"] {
            out.remove(key);
        }
        out.retain(|key, _| key == "run.dtype" || !key.starts_with("run."));
        out
    }

    /// The same text for all records of a run with these settings, whatever its model and data were.
    pub fn what(&self) -> Option<String> {
        settings(&self.config).ok()
    }

    /// The folder that the data were read from.
    pub fn data_dir(&self) -> &str {
        self.config.pointer("/data/dir").and_then(Value::as_str).unwrap_or_default()
    }
}

/// `data.max_length` → `128`, and so on, of all that is not a table.
fn flatten(at: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                flatten(&at, value, out);
            }
        }
        Value::String(text) => _ = out.insert(at.to_owned(), text.clone()),
        other => _ = out.insert(at.to_owned(), other.to_string()),
    }
}

/// What the record of a run must say.
pub struct Expected {
    what: String,
    name: String,
    finetune: Option<StageId>,
}

impl Expected {
    /// `finetune` is the id that the run's fine-tuned model has by what is now in the files of its model and data. Where
    /// that is not known, their names must do.
    pub fn new(run: &Run, finetune: Option<StageId>) -> Result<Self> {
        let what = settings(&json!(run.config))?;
        Ok(Self { what, name: run.name.clone(), finetune })
    }

    /// What [`Summary::what`] of the record is.
    pub fn settings(&self) -> &str {
        &self.what
    }

    pub fn is(&self, record: &Summary) -> bool {
        record.what().is_some_and(|what| what == self.what)
            && self.is_of(record.finetuned(), record.run().as_deref())
    }

    /// Whether a record of the same settings, with this fine-tuned model and of the run of this name, is of the wanted
    /// model and data.
    pub fn is_of(&self, finetuned: Option<&str>, run: Option<&str>) -> bool {
        match &self.finetune {
            Some(id) => finetuned == Some(id.as_str()),
            None => run == Some(&*self.name),
        }
    }
}

/// The record of this run, if there is one.
pub fn find(store: &Store, run: &Run, wanted: &Expected) -> Result<Option<(PathBuf, Summary)>> {
    let config = &run.config;
    let last = store.results_path(config.task.name(), config.method.name(), config.mode.name(), config.seed);
    // Records of other settings lie beside the last one, as seed-<n>.<hash>.json.
    let dir = last.parent().unwrap_or(&last);
    let beside = names(dir)?.into_iter().filter(|name| seed_of(name) == Some(config.seed));
    let beside = beside.map(|name| dir.join(name)).filter(|path| *path != last);
    let read = |path: PathBuf| Some((read(&path).ok()?, path));
    let mut found = [last.clone()].into_iter().chain(beside).filter_map(read);
    Ok(found.find_map(|(summary, path)| wanted.is(&summary).then_some((path, summary))))
}

/// `seed-<n>.json` or `seed-<n>.<hash12>.json`: the only names that records have. A file manager's copy has another.
fn seed_of(name: &str) -> Option<u64> {
    let stem = name.strip_prefix("seed-")?.strip_suffix(".json")?;
    let (seed, hash) = stem.split_once('.').map_or((stem, None), |(seed, hash)| (seed, Some(hash)));
    let hex = |hash: &str| hash.len() == 12 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let plain = seed.bytes().all(|b| b.is_ascii_digit()) && hash.is_none_or(hex);
    plain.then(|| seed.parse().ok())?
}

/// Reads a record, or says why the file is none.
fn read(path: &Path) -> std::result::Result<Summary, String> {
    let text = file::read(path, file::LARGEST_JSON).map_err(|e| format!("cannot be read: {e}"))?;
    let summary: Summary =
        serde_json::from_slice(&text).map_err(|error| format!("is damaged, or is no record: {error}"))?;
    for (part, scores) in
        [("full", &summary.full), ("pruned", &summary.pruned), ("retrained", &summary.retrained)]
    {
        if !scores.metrics.get(&summary.metric).is_some_and(|score| score.is_finite()) {
            return Err(format!("has no {} of the {part} model, its deciding metric", summary.metric));
        }
    }
    let expected = [&*summary.task, &summary.method, &summary.mode];
    let place: Vec<_> = path.iter().rev().skip(1).take(3).collect();
    let seed = path.file_name().and_then(|name| seed_of(&name.to_string_lossy()));
    if !expected.iter().eq(place.iter().rev()) || seed != Some(summary.seed) {
        return Err(format!(
            "is a copy: it is the record of {} {} {} seed {}, whose place is another",
            summary.task, summary.method, summary.mode, summary.seed
        ));
    }
    Ok(summary)
}

/// Every record of the store, and what lies among them and is none.
pub fn all(store: &Store) -> Result<Records> {
    let mut folders = vec![store.dir().join("results")];
    // results/<task>/<method>/<mode>
    for _ in 0..3 {
        let below = folders.iter().map(|dir| Ok(names(dir)?.into_iter().map(|name| dir.join(name))));
        folders =
            below.collect::<Result<Vec<_>>>()?.into_iter().flatten().filter(|path| path.is_dir()).collect();
    }
    let files = folders.iter().map(|dir| Ok(names(dir)?.into_iter().map(|name| dir.join(name))));
    let mut files: Vec<PathBuf> = files
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    // Of two that are the same, seed-<n>.json is read and its copy passed over.
    files.sort_by_key(|path| (path.parent().map(Path::to_owned), path.as_os_str().len()));
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let summary = match seed_of(&name) {
            Some(_) => read(&path),
            None => Err("has a name that no record has; it may be a copy".to_owned()),
        };
        let summary = summary.map(|summary| (summary.what(), summary));
        (path, summary)
    };
    let read: Vec<_> = files.into_par_iter().map(read).collect();
    let mut records = Records::default();
    let mut places = HashMap::new();
    for (path, summary) in read {
        match summary {
            Ok((what, summary)) => {
                let first = places.entry((what, summary.stages.clone())).or_insert_with(|| path.clone());
                if *first == path {
                    records.found.push((path, summary));
                } else {
                    let why = format!("is the same record as {}", first.display());
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
    fn only_the_names_that_the_program_gives_are_records() {
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
