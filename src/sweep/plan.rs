//! A sweep: its runs, without duplicates, ordered so that shared stages are computed first.

use crate::{
    choice::Choice,
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{graph::Graph, protocol, run_name},
    file,
    store::{Store, atomic_write, deserialize_name, is_name, refuse_link},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

pub const FORMAT_VERSION: u32 = 1;

/// The maximum size of `sweep.json`; a run takes a few kilobytes.
const MAX_BYTES: u64 = 1 << 30;

/// The folders of a sweep.
const FOLDERS: [&str; 4] = ["runs", "configs", "live", "logs"];

/// One run of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// See [`run_name`]. The names of the run's files contain it.
    #[serde(deserialize_with = "deserialize_name")]
    pub name: String,
    pub config: ExperimentConfig,
}

/// A list of runs, and its folder in a store.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub id: String,
    pub dir: PathBuf,
    /// The directory that relative paths in the runs' settings start from.
    pub directory: PathBuf,
    pub runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Saved {
    format_version: u32,
    directory: PathBuf,
    runs: Vec<Run>,
}

impl Run {
    fn new(config: ExperimentConfig) -> Result<Self> {
        Ok(Self { name: run_name(&config)?, config })
    }

    /// Whether it reads files by relative paths. A model's name may only look like one: it may be on the hub or
    /// embedded.
    fn has_relative_paths(&self) -> bool {
        let config = &self.config;
        let here = |path: &str| Path::new(path).is_relative() && Path::new(path).exists();
        let others =
            [&config.data.dir, &config.data.text, &config.data.dev_text, &config.finetuned, &config.ticket];
        here(&config.model) || others.into_iter().flatten().any(|path| here(path))
    }

    /// Its stages, before any file is read.
    pub fn graph(&self) -> Result<Graph> {
        protocol::graph(&self.config)
    }

    /// The keys of the stages that it may share with other runs, in order.
    pub fn shared(&self) -> Result<Vec<String>> {
        self.graph()?.shared()
    }
}

fn hash12(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..12].to_owned()
}

impl Sweep {
    /// The sweep of these runs, without duplicates. Its id is `<name>-<hash12>`, where the hash is that of its runs, so
    /// that the same command finds the same sweep.
    pub fn new(name: &str, configs: Vec<ExperimentConfig>, store: &Store) -> Result<Self> {
        let mut seen = HashSet::new();
        let mut runs = configs.into_iter().map(Run::new).collect::<Result<Vec<_>>>()?;
        runs.retain(|run| seen.insert(run.name.clone()));
        let runs = shared_first(runs)?;
        let mut names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        names.sort_unstable();
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
            .collect();
        let directory = std::env::current_dir().map_err(|e| Error::io(Path::new("."), "find", &e))?;
        let mut hashed = names.join("\n");
        let mut id = format!("{plain}-{}", hash12(&hashed));
        if runs.iter().any(Run::has_relative_paths)
            && is_from_another_directory(&folder(store).join(&id), &directory)
        {
            hashed += &format!("\n{}", directory.display());
            id = format!("{plain}-{}", hash12(&hashed));
        }
        Ok(Self { dir: folder(store).join(&id), id, directory, runs })
    }

    /// The sweep of the store whose id starts with `id`.
    pub fn find(id: &str, store: &Store) -> Result<Self> {
        Self::load(&folder(store).join(Self::find_id(id, store)?))
    }

    /// The id that starts with `id`, whether the sweep can be read or not.
    pub fn find_id(id: &str, store: &Store) -> Result<String> {
        let ids = ids(store)?;
        let (exact, near): (Vec<_>, Vec<_>) =
            ids.iter().filter(|found| found.starts_with(id)).partition(|found| *found == id);
        match (&exact[..], &near[..]) {
            ([one], _) | ([], [one]) => Ok((*one).clone()),
            _ if ids.is_empty() => Err(Error::usage(format!(
                "{} has no sweeps. Name another store with --store.",
                store.dir().display()
            ))),
            ([], []) => Err(Error::usage(format!(
                "no sweep's name starts with {id}. The store has {}.",
                ids.join(", ")
            ))),
            _ => Err(Error::usage(format!(
                "the store has several sweeps that match. Name one of {}.",
                ids.iter().filter(|found| found.starts_with(id)).cloned().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    pub(super) fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("sweep.json");
        let damaged = |why: &dyn std::fmt::Display| {
            Error::data(format!("{} is damaged: {why}. Run the sweep's command again.", path.display()))
        };
        let text = file::read(&path, MAX_BYTES).map_err(|e| Error::io(&path, "read", &e))?;
        let Saved { format_version, directory, runs } =
            serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
        if format_version != FORMAT_VERSION {
            return Err(damaged(&format!("it has format version {format_version}, not {FORMAT_VERSION}")));
        }
        let mut seen = HashSet::new();
        for Run { name, .. } in &runs {
            if !seen.insert(name) {
                return Err(damaged(&format!("run {name} is listed twice")));
            }
        }
        // Sweeps are found by the folder's name, whatever the file says.
        let id = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        Ok(Self { id, dir: dir.to_owned(), directory, runs })
    }

    /// Creates its folders and writes `sweep.json`, which workers read.
    pub fn save(&self) -> Result<()> {
        self.refuse_links()?;
        for folder in FOLDERS {
            let dir = self.dir.join(folder);
            fs::create_dir_all(&dir).map_err(|e| Error::io(&dir, "create", &e))?;
        }
        let saved = json!({
            "format_version": FORMAT_VERSION, "id": self.id, "directory": self.directory, "runs": self.runs,
        });
        atomic_write(&self.dir.join("sweep.json"), format!("{saved}\n").as_bytes())
    }

    /// A sweep only writes to and removes from its own folders.
    ///
    /// # Errors
    /// Data: one of them is a symbolic link.
    pub(super) fn refuse_links(&self) -> Result<()> {
        refuse_link(&self.dir)?;
        FOLDERS.iter().chain(&["slurm"]).try_for_each(|folder| refuse_link(&self.dir.join(folder)))
    }

    pub fn log(&self, run: &Run) -> PathBuf {
        self.dir.join("logs").join(format!("{}.log", run.name))
    }

    /// The settings that differ between runs, other than task, mode and seed, which are always shown, and other than a recipe
    /// that comes with the task, or with the one whose ticket is taken.
    pub fn varying(&self) -> Result<Vec<String>> {
        let all = self.runs.iter().map(|run| run.config.settings()).collect::<Result<Vec<_>>>()?;
        let keys: BTreeSet<&String> = all.iter().flat_map(|settings| settings.keys()).collect();
        let varies = |key: &str| all.iter().any(|settings| settings.get(key) != all[0].get(key));
        let by_task = |key: &str| {
            let mut of_tasks = BTreeMap::new();
            let mut settings = all.iter().zip(&self.runs);
            settings.all(|(settings, run)| {
                *of_tasks.entry(run.config.task.name()).or_insert(settings.get(key)) == settings.get(key)
            })
        };
        let comes_with_a_task = |key: &str| {
            key.starts_with("tasks.")
                || (key.starts_with("data.") || key.starts_with("train.")) && by_task(key)
        };
        let shown = |key: &&String| {
            !["task", "mode", "seed"].contains(&key.as_str()) && varies(key) && !comes_with_a_task(key)
        };
        Ok(keys.into_iter().filter(shown).cloned().collect())
    }
}

/// Whether the sweep in this folder was created in another directory that still exists, where relative paths lead to
/// other files.
fn is_from_another_directory(sweep: &Path, directory: &Path) -> bool {
    Sweep::load(sweep).is_ok_and(|saved| saved.directory != directory && saved.directory.is_dir())
}

/// The folder of a store's sweeps.
pub fn folder(store: &Store) -> PathBuf {
    store.dir().join("sweeps")
}

/// The ids of a store's sweeps, sorted.
pub fn ids(store: &Store) -> Result<Vec<String>> {
    let dir = folder(store);
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| Error::io(&dir, "list", &e))?,
    };
    let mut ids: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("sweep.json").exists())
        .filter_map(|entry| entry.file_name().into_string().ok().filter(|name| is_name(name)))
        .collect();
    ids.sort();
    Ok(ids)
}

/// Groups runs that share their first stage, within those groups the ones that share the second, and so on; otherwise
/// keeps the order.
fn shared_first(runs: Vec<Run>) -> Result<Vec<Run>> {
    let mut first = HashMap::new();
    let mut ordered = Vec::with_capacity(runs.len());
    for (n, run) in runs.into_iter().enumerate() {
        let places: Vec<usize> =
            run.shared()?.into_iter().map(|key| *first.entry(key).or_insert(n)).collect();
        ordered.push((places, run));
    }
    ordered.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ordered.into_iter().map(|(_, run)| run).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;
    use serde_json::Value;

    fn config(seed: u64, mode: &str, threshold: f64) -> ExperimentConfig {
        let mut config = ExperimentConfig::new(TaskId::Rte, "m", "d");
        (config.seed, config.mode, config.search.threshold) = (seed, mode.parse().unwrap(), threshold);
        config
    }

    fn sweep(configs: Vec<ExperimentConfig>) -> Sweep {
        let store = Store::at(Path::new("nowhere")).unwrap();
        Sweep::new("test", configs, &store).unwrap()
    }

    #[test]
    fn equal_runs_are_one_whatever_computes_them() {
        let mut other = config(1, "good", 0.9);
        other.run.threads = Some(3);
        let twice = sweep(vec![config(1, "good", 0.9), other, config(2, "good", 0.9)]);
        assert_eq!(twice.runs.len(), 2);
        let once = sweep(vec![config(2, "good", 0.9), config(1, "good", 0.9)]);
        assert_eq!(once.id, twice.id);
        assert_ne!(once.id, sweep(vec![config(2, "good", 0.9)]).id);
    }

    #[test]
    fn a_saved_sweep_is_loaded_unless_its_names_are_paths() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let saved = Sweep::new("test", vec![config(1, "good", 0.9), config(2, "good", 0.9)], &store).unwrap();
        saved.save().unwrap();
        let loaded = Sweep::load(&saved.dir).unwrap();
        assert_eq!((&loaded.id, loaded.runs.len()), (&saved.id, 2));
        let path = saved.dir.join("sweep.json");
        let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        type Change = fn(&mut Value);
        let changes: [Change; 8] = [
            |saved| saved["runs"][0]["name"] = json!("../../../victim"),
            |saved| saved["runs"][1]["name"] = json!("/etc/passwd"),
            |saved| saved["runs"][1]["name"] = json!("a\u{1b}[2Jb"),
            |saved| saved["runs"][1]["name"] = saved["runs"][0]["name"].clone(),
            |saved| saved["runs"][0]["config"]["task"] = json!("../../x"),
            |saved| saved["runs"][0]["config"]["mode"] = json!(""),
            |saved| saved["format_version"] = json!(2),
            |saved| saved["runs"] = json!({}),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut hostile = whole.clone();
            change(&mut hostile);
            fs::write(&path, hostile.to_string()).unwrap();
            let error = Sweep::load(&saved.dir).unwrap_err();
            assert!(
                error.exit_code() == 3 && error.to_string().contains("sweep.json is damaged"),
                "{n}: {error}"
            );
        }
        // Its id is the folder's name, whatever the file says.
        let mut other = whole;
        other["id"] = json!("../../other");
        fs::write(&path, other.to_string()).unwrap();
        assert_eq!(Sweep::load(&saved.dir).unwrap().id, saved.id);
    }

    #[test]
    fn runs_are_grouped_by_model_and_within_it_by_search() {
        let mut configs = Vec::new();
        for mode in ["good", "full", "bad"] {
            for threshold in [0.9, 0.5] {
                for seed in [1, 2] {
                    configs.push(config(seed, mode, threshold));
                }
            }
        }
        let sweep = sweep(configs);
        let order: Vec<_> = sweep
            .runs
            .iter()
            .map(|run| (run.config.seed, run.config.mode.name(), run.config.search.threshold))
            .collect();
        assert!(order.is_sorted_by_key(|run| run.0), "{order:?}");
        let searched: Vec<_> = order.iter().filter(|run| run.1 != "full").map(|run| (run.0, run.2)).collect();
        let expected = [(1, 0.9), (1, 0.9), (1, 0.5), (1, 0.5), (2, 0.9), (2, 0.9), (2, 0.5), (2, 0.5)];
        assert_eq!(searched, expected);
        assert_eq!(sweep.varying().unwrap(), ["search.threshold"]);
    }

    #[test]
    fn a_recipe_that_comes_with_the_task_is_not_what_runs_vary_in() {
        let of = |task: TaskId, limit: usize, level: usize, source: TaskId| {
            let mut config = ExperimentConfig { task, ticket_from: Some(source), ..config(1, "good", 0.9) };
            (config.data.train_limit, config.prune.level) = (Some(limit), Some(level));
            config
        };
        let all = sweep(vec![
            of(TaskId::Rte, 10, 1, TaskId::Rte),
            of(TaskId::Rte, 10, 2, TaskId::Mrpc),
            of(TaskId::Mrpc, 20, 1, TaskId::Mrpc),
            of(TaskId::Mrpc, 20, 1, TaskId::Rte),
        ]);
        assert_eq!(all.varying().unwrap(), ["prune.level", "ticket_from"]);
        // Two limits of one task are.
        let all = sweep(vec![of(TaskId::Rte, 10, 1, TaskId::Rte), of(TaskId::Rte, 20, 1, TaskId::Rte)]);
        assert_eq!(all.varying().unwrap(), ["data.train_limit"]);
    }
}
