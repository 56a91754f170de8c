//! Settings of one task: `tasks.rte.prune.level = 1`. A run has those of its own task in their places, and remembers those of
//! the tasks that share its encoder where they differ.

use super::{
    ExperimentConfig, Init, Layers, SharedConfig,
    layers::{as_table, canonical, insert, leaves, remove},
};
use crate::{
    choice::Choice,
    error::{Error, Result, excerpt, nearest},
    task::TaskId,
};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// What may differ between the tasks of a sweep, or of an encoder.
const SECTIONS: [&str; 5] = ["data", "train", "importance", "search", "prune"];

/// By task, and then by dotted key.
#[derive(Clone, Debug, Default)]
pub(super) struct PerTask(BTreeMap<String, BTreeMap<&'static str, Value>>);

/// The task of a key of [`PerTask`], and the key behind it.
pub(super) fn split(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("tasks.")?.split_once('.')
}

impl PerTask {
    /// Usage errors: those of [`canonical`]; a key that is the same for all tasks.
    pub fn put(&mut self, task: &str, key: &str, value: &Value, origin: &str) -> Result<()> {
        let (name, value) = canonical(key, value, origin)?;
        if !name.split_once('.').is_some_and(|(section, _)| SECTIONS.contains(&section)) {
            return Err(Error::usage(format!(
                "tasks.{}.{name} ({origin}): a task has {} of its own, and {name} is that of the run. Set {name}.",
                excerpt(task),
                SECTIONS.join(", ")
            )));
        }
        let task = TaskId::canonical(task).unwrap_or(task);
        self.0.entry(task.to_owned()).or_default().insert(name, value);
        Ok(())
    }

    /// The settings of this task.
    pub fn of(&self, task: Option<&str>) -> impl Iterator<Item = (&'static str, &Value)> {
        let own = task.and_then(|task| self.0.get(task));
        own.into_iter().flatten().map(|(key, value)| (*key, value))
    }

    /// Refuses a name that is neither a registered task nor one of these.
    pub fn check(&self, known: &[String]) -> Result<()> {
        let names = TaskId::names().into_iter().chain(known.iter().map(String::as_str));
        let unknown = self.0.keys().find(|task| names.clone().all(|name| name != *task));
        unknown.map_or(Ok(()), |task| {
            let hint = nearest(task, names).map(|near| format!(" Did you mean tasks.{near}?"));
            Err(Error::usage(format!(
                "tasks.{}: there is no such task.{}",
                excerpt(task),
                hint.unwrap_or_default()
            )))
        })
    }
}

/// The name of a task, registered or defined.
pub(super) fn name(task: &Value) -> Option<&str> {
    task.as_str().or_else(|| task.get("name")?.as_str())
}

/// The tasks whose settings a run remembers: those of `shared.tasks`, and that of `ticket_from` where it is given some, without
/// the run's own.
pub(super) fn others(table: &Table, own: &str, given: &PerTask) -> Vec<String> {
    let shared = table.get("shared").and_then(|shared| shared.get("tasks")?.as_array());
    let source = table.get("ticket_from").and_then(name).filter(|task| given.0.contains_key(*task));
    let names = shared.into_iter().flatten().filter_map(name).chain(source);
    let mut others: Vec<String> = names.filter(|name| *name != own).map(str::to_owned).collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// The settings of another task, complete, where they are not those of the run.
///
/// # Errors
/// Usage: only one of the two has a value.
pub(super) fn difference(own: &Table, [task, other]: [&str; 2], others: &Table) -> Result<Table> {
    let of = |table| -> BTreeMap<String, Value> {
        let all = leaves(table).into_iter().map(|(key, value)| (key, value.clone()));
        all.filter(|(key, _)| SECTIONS.contains(&key.split('.').next().unwrap_or_default())).collect()
    };
    let (own, others) = (of(own), of(others));
    let mut differing = Table::new();
    if let Some(key) = own.keys().find(|key| !others.contains_key(*key)) {
        return Err(Error::usage(format!(
            "{key} has a value for {task} and none for {other}. Give it one too: tasks.{other}.{key}."
        )));
    }
    for (key, value) in others.into_iter().filter(|(key, value)| own.get(key) != Some(value)) {
        insert(&mut differing, &key, value);
    }
    Ok(differing)
}

impl ExperimentConfig {
    /// The settings of the run that this one continues: of this task, with the same method and mode, on all of its data, and
    /// with the tasks that share its encoder.
    ///
    /// # Errors
    /// As [`of_task`](Self::of_task).
    pub fn of_source(&self, task: TaskId) -> Result<Self> {
        let mut alone = Self { ticket_from: None, init: Init::Pretrained, ..self.clone() };
        // That of the data is the new task's.
        alone.data.fraction = 1.0;
        let own = alone.of_task(task)?;
        let table = as_table(&own)?;
        let mut tasks = BTreeMap::new();
        for other in self.shared.others(task) {
            let theirs = as_table(&alone.of_partner(other)?)?;
            let differing = difference(&table, [task.name(), other.name()], &theirs)?;
            if !differing.is_empty() {
                tasks.insert(other.name().to_owned(), differing);
            }
        }
        Ok(Self { shared: self.shared.clone(), tasks, ..own })
    }

    /// The settings of a run of this task, which stands alone: as they are remembered, else with the preset's for that task.
    ///
    /// # Errors
    /// As [`Layers::resolve`].
    pub fn of_task(&self, task: TaskId) -> Result<Self> {
        // Of tasks that share an encoder all are remembered that differ.
        match self.tasks.contains_key(task.name()) || self.shared.is_wanted() {
            true => self.of_partner(task),
            false => self.for_task(task),
        }
    }

    /// The settings of a run of this task where this run's are as they are: what the preset has for its own task becomes what
    /// it has for the other, everything else stays.
    ///
    /// # Errors
    /// As [`Layers::resolve`].
    pub(super) fn for_task(&self, task: TaskId) -> Result<Self> {
        let other = Self { task, ..self.clone() };
        let usual = |config: &Self| -> Result<BTreeMap<String, Value>> {
            let mut layers = Layers::new();
            for key in ["task", "preset", "model", "data.dir", "data.text"] {
                if let Some(value) = config.settings()?.get(key) {
                    layers.value(key, value.clone(), "configuration")?;
                }
            }
            layers.resolve()?.settings()
        };
        let (own, others, now) = (usual(self)?, usual(&other)?, other.settings()?);
        let mut table = as_table(&other)?;
        for key in own.keys().chain(others.keys()).filter(|key| now.get(*key) == own.get(*key)) {
            match others.get(key) {
                Some(value) => insert(&mut table, key, value.clone()),
                None => remove(&mut table, key),
            }
        }
        table.try_into().map_err(|error| Error::internal(format!("checked settings do not fit: {error}")))
    }

    /// The settings of a run of this task, which shares the encoder of this run's.
    ///
    /// # Errors
    /// Internal: the settings do not fit, which they did when they were read.
    pub fn of_partner(&self, task: TaskId) -> Result<Self> {
        let own = Self { task, shared: SharedConfig::default(), tasks: BTreeMap::new(), ..self.clone() };
        let Some(settings) = self.tasks.get(task.name()) else { return Ok(own) };
        let mut table = as_table(&own)?;
        for (key, value) in leaves(settings) {
            insert(&mut table, &key, value.clone());
        }
        table.try_into().map_err(|error| Error::internal(format!("checked settings do not fit: {error}")))
    }
}
