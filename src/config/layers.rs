//! Settings from several places, one over the other, and the one configuration that they make.

use std::{collections::BTreeMap, fs, path::Path};

use toml::{Table, Value};

use super::{
    DEFAULT_PRESET, EMBEDDED_MODEL, EMBEDDED_PRESET, ExperimentConfig,
    keys::{self, KEYS},
    kind::Kind,
    per_task::{self, PerTask},
    preset,
};
use crate::{
    choice::Choice,
    error::{Error, Result, excerpt},
    prune::Method,
    task::TaskId,
};

/// Bytes of a line that is shown as it is.
const LINE: usize = 200;

/// SQuAD's windows in the positions of the embedded model.
const SQUAD_OF_EMBEDDED: &[(&str, i64)] =
    &[("data.max_length", 64), ("data.doc_stride", 16), ("data.max_question_length", 24)];

/// What the user gave, checked key by key on the way in, so that every error can say where a value came from.
///
/// Later calls override earlier ones, except that the preset always lies below all of them.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, Value>,
    /// Of one task, over these.
    tasks: PerTask,
}

impl Layers {
    pub fn new() -> Self {
        Self::default()
    }

    /// A TOML file, or a record, whose settings are meant. Usage errors: it cannot be read, is neither, has an unknown key or
    /// a value that does not fit.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::usage(format!(
                "cannot read the configuration file {}: {error}. Check the path given with --config.",
                path.display()
            ))
        })?;
        let origin = format!("file {}", path.display());
        match text.trim_start().starts_with('{') {
            true => self.table(&of_record(&text, &origin)?, &origin),
            false => {
                let table = parse(&text, &origin)?;
                if is_sweep(&table) {
                    let path = path.display();
                    return Err(Error::usage(format!(
                        "{path} is the file of a sweep. Run it by: lottery sweep {path}"
                    )));
                }
                self.table(&table, &origin)
            }
        }
    }

    /// One setting by its dotted key; `origin` is what the user typed (`--seed`), for errors.
    pub fn value(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<()> {
        self.put(key, &value.into(), origin)
    }

    /// [`Self::value`] unless the key has one.
    pub fn value_below(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<()> {
        if self.has(key) { Ok(()) } else { self.value(key, value, origin) }
    }

    /// Whether neither a task nor data are given, nor a model that is not the embedded one.
    pub fn asks_for_nothing(&self) -> bool {
        let other_model = self.text("model").is_some_and(|model| model != EMBEDDED_MODEL);
        !self.has("task") && !self.has("data.dir") && !other_model
    }

    /// The text that the user gave this key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    /// Whether the user gave this key a value.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// `key=value` as typed behind `--set`: the value is TOML, and a bare word is a text.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, raw)) = assignment.split_once('=') else {
            return Err(Error::usage(format!(
                "--set {} has no value. Write --set KEY=VALUE, for example --set train.epochs=5.",
                excerpt(assignment)
            )));
        };
        let key = key.trim();
        self.put(key, &typed(key, raw), &format!("--set {}", excerpt(assignment)))
    }

    /// Every value of a table, by dotted key.
    pub fn table(&mut self, table: &Table, origin: &str) -> Result<()> {
        leaves(table).into_iter().try_for_each(|(key, value)| self.put(&key, value, origin))
    }

    /// The configuration: defaults, then the preset, then what it has for this task, then SQuAD's lengths where that is the task, then everything given,
    /// and last what is given for this task. Tasks that share the encoder have theirs in [`ExperimentConfig::tasks`].
    /// Where neither task, model nor data is given, the demo task; the demo task's model is the embedded one, and that
    /// model's preset its own. Any other task has the preset's model.
    ///
    /// Usage errors: an unknown preset; no task; no data folder for a task that is not on the hub.
    pub fn resolve(mut self) -> Result<ExperimentConfig> {
        if self.asks_for_nothing() {
            self.value("task", TaskId::Demo.name(), "default")?;
        }
        if self.text("task") == Some(TaskId::Demo.name()) {
            self.value_below("model", EMBEDDED_MODEL, "default")?;
        }
        if self.has("ticket") {
            self.value_below("method", Method::Ticket.name(), "ticket")?;
        }
        let embedded = self.text("model") == Some(EMBEDDED_MODEL);
        let usual = if embedded { EMBEDDED_PRESET } else { DEFAULT_PRESET };
        let name = self.values.get("preset").and_then(Value::as_str).unwrap_or(usual);
        let preset = preset(name)?;
        let mut below = Self::default();
        let origin = format!("preset {name}");
        below.table(&parse(preset.toml, &origin)?, &origin)?;
        below.values.insert("preset", Value::String(name.to_owned()));

        let of_task = |task: Option<&str>| -> Result<Table> {
            let mut below = below.clone();
            below
                .values
                .extend(below.tasks.of(task).map(|(key, value)| (key, value.clone())).collect::<Vec<_>>());
            if embedded {
                // The presets for larger models ask for longer sequences.
                let [own, length] =
                    [super::preset(EMBEDDED_PRESET)?, preset].map(|preset| max_length(preset.toml));
                below
                    .values
                    .extend(own.min(length).map(|length| ("data.max_length", Value::Integer(length))));
            }
            // Presets are for sentences; paragraphs are longer.
            if task == Some(TaskId::Squad.name()) {
                let usual = if embedded { SQUAD_OF_EMBEDDED } else { &[("data.max_length", 384)] };
                below.values.extend(usual.iter().map(|(key, value)| (*key, Value::Integer(*value))));
            }
            let given = self.values.iter().map(|(key, value)| (*key, value)).chain(self.tasks.of(task));
            let mut table = defaults()?;
            for (key, value) in below.values.iter().map(|(key, value)| (*key, value)).chain(given) {
                insert(&mut table, key, value.clone());
            }
            Ok(table)
        };
        let task = self.values.get("task").and_then(per_task::name).map(str::to_owned);
        let mut table = of_task(task.as_deref())?;
        require(&table)?;
        let task = task.unwrap_or_default();
        let others = per_task::others(&table, &task, &self.tasks);
        self.tasks.check(&[&others[..], std::slice::from_ref(&task)].concat())?;
        let mut of_others = Table::new();
        for other in others {
            let differing = per_task::difference(&table, [&task, &other], &of_task(Some(&other))?)?;
            if !differing.is_empty() {
                of_others.insert(other, Value::Table(differing));
            }
        }
        if !of_others.is_empty() {
            table.insert("tasks".to_owned(), Value::Table(of_others));
        }
        table.try_into().map_err(|error| Error::internal(format!("checked settings do not fit: {error}")))
    }

    fn put(&mut self, key: &str, value: &Value, origin: &str) -> Result<()> {
        if let Some((task, key)) = per_task::split(key) {
            return self.tasks.put(task, key, value, origin);
        }
        let (name, value) = canonical(key, value, origin)?;
        self.values.insert(name, value);
        Ok(())
    }
}

/// Whether a file's table describes many runs.
pub fn is_sweep(table: &Table) -> bool {
    ["grid", "include", "exclude"].iter().any(|key| table.contains_key(*key))
}

/// The table of a file. Usage error: it is no TOML.
pub fn parse(text: &str, origin: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let what = error.to_string();
        let what = match what.lines().any(|line| line.len() > LINE) {
            // It shows the line, whatever its length.
            true => {
                let at = error.span().map_or(0, |span| span.start);
                let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
                format!("line {line}: {}", error.message())
            }
            false => what,
        };
        let what = what.trim_end();
        Error::usage(format!("{origin} is not valid TOML: {what}. Mend that line."))
    })
}

/// The settings of a record: those under `config`, or the whole document.
fn of_record(text: &str, origin: &str) -> Result<Table> {
    let wrong = |why: &dyn std::fmt::Display| {
        Error::usage(format!("{origin} has no settings: {why}. Give a record of lottery, or a TOML file."))
    };
    let mut document: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    let mut settings = match document.get_mut("config") {
        Some(config) => config.take(),
        None => document,
    };
    without_nulls(&mut settings);
    Table::try_from(settings).map_err(|error| wrong(&error))
}

/// TOML has none: a key without a value is absent.
pub fn without_nulls(value: &mut serde_json::Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
        object.values_mut().for_each(without_nulls);
    }
}

/// The setting in its canonical spelling. Usage errors: an unknown key, a value that does not fit.
pub fn canonical(key: &str, value: &Value, origin: &str) -> Result<(&'static str, Value)> {
    let Some((name, kind, _)) = KEYS.iter().find(|(name, ..)| *name == key) else {
        let (key, hint) = (excerpt(key), keys::suggest(key));
        return Err(Error::usage(format!("unknown key {key} ({origin}).{hint}")));
    };
    let value = kind.check(value).map_err(|expected| {
        let stop = if expected.ends_with('?') { "" } else { "." };
        Error::usage(format!("{key} = {} ({origin}): {expected}{stop}", excerpt(&value.to_string())))
    })?;
    Ok((name, value))
}

/// A value as typed in a flag: TOML, and a bare word is a text.
pub fn typed(key: &str, raw: &str) -> Value {
    let (key, raw) = (per_task::split(key).map_or(key, |(_, key)| key), raw.trim());
    match parse_value(raw) {
        Some(value) if value.is_str() || !keys::kind_of(key).is_some_and(Kind::is_text) => value,
        _ => Value::String(raw.to_owned()),
    }
}

impl ExperimentConfig {
    /// Checks every key of a configuration that was not made by [`Layers`] (read from JSON, or built in code).
    pub fn validate(&self) -> Result<()> {
        let table = as_table(self)?;
        let mut checked = Layers::default();
        for (key, value) in leaves(&table) {
            checked.put(&key, value, "configuration")?;
        }
        require(&table)
    }

    /// Every setting that has a value, by dotted key.
    pub fn settings(&self) -> Result<BTreeMap<String, Value>> {
        Ok(leaves(&as_table(self)?).into_iter().map(|(key, value)| (key, value.clone())).collect())
    }
}

fn max_length(preset: &str) -> Option<i64> {
    preset.parse::<Table>().ok()?.get("data")?.get("max_length")?.as_integer()
}

/// The bottom layer. The keys without a default are absent: task, model and the data's folder.
pub(super) fn defaults() -> Result<Table> {
    let mut table = as_table(&ExperimentConfig::new(TaskId::Demo, "", ""))?;
    table.remove("task");
    table.remove("model");
    if let Some(Value::Table(data)) = table.get_mut("data") {
        data.remove("dir");
    }
    Ok(table)
}

pub(super) fn as_table(config: &ExperimentConfig) -> Result<Table> {
    Table::try_from(config).map_err(|error| {
        Error::usage(format!(
            "the configuration cannot be written as TOML: {error}. Seeds end at {}.",
            i64::MAX
        ))
    })
}

fn require(table: &Table) -> Result<()> {
    let data_dir = table.get("data").and_then(|data| data.get("dir"));
    let Some(task) = table.get("task") else {
        return Err(Error::usage(format!(
            "no task is named. Give --task with one of {}, for example: \
             lottery run --task rte",
            TaskId::names().join(", ")
        )));
    };
    if !table.contains_key("model") {
        return Err(Error::usage(
            "no model is named. Give --model (or LOTTERY_MODEL) a folder with config.json, model.safetensors and \
             tokenizer.json, a name on the Hugging Face hub such as google-bert/bert-base-uncased, or tiny.",
        ));
    }
    let task: TaskId =
        task.clone().try_into().map_err(|error: toml::de::Error| Error::usage(error.message()))?;
    task.spec().must_train()?;
    // The definition of a user's task says where its files are.
    let has_text = |name: &str| table.get("data").is_some_and(|data| data.get(name).is_some());
    let takes_from = table.get("ticket_from").and_then(Value::as_str);
    if (task == TaskId::Mlm || takes_from == Some(TaskId::Mlm.name())) && !has_text("text") {
        return Err(Error::usage(
            "mlm hides words of a text, and none is named. Give --text FILE (one paragraph a line), or --text demo for that of \
             the demo grammar.",
        ));
    }
    let needs_folder =
        !matches!(task, TaskId::Demo | TaskId::Mlm) && task.definition().is_none() && task.source().is_none();
    if data_dir.is_none() && needs_folder {
        return Err(Error::usage(format!(
            "no data folder is named, and {} is not on the Hugging Face hub. Give --data (or LOTTERY_DATA) the folder \
             that holds its files.",
            task.name()
        )));
    }
    Ok(())
}

/// Every value that is no table, by dotted key; an empty table counts as a value so that its name is checked.
pub fn leaves(table: &Table) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() && keys::kind_of(key).is_none() => {
                found.extend(leaves(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            Value::Table(_) if KEYS.iter().any(|(name, ..)| name.starts_with(&format!("{key}."))) => {}
            _ => found.push((key.clone(), value)),
        }
    }
    found
}

pub(super) fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

pub(super) fn remove(table: &mut Table, key: &str) {
    match key.split_once('.') {
        None => _ = table.remove(key),
        Some((section, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(section) {
                remove(inner, rest);
            }
        }
    }
}

fn parse_value(raw: &str) -> Option<Value> {
    let mut table: Table = format!("value = {raw}").parse().ok()?;
    let value = table.remove("value");
    // A line break in the text would have smuggled in further keys.
    if table.is_empty() { value } else { None }
}

#[cfg(test)]
mod tests;
