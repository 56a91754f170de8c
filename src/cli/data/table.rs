//! What `lottery data list` shows.

use crate::cli::{
    output::document,
    table::{Column, Sheet},
    terminal,
};
use crate::{
    choice::Choice,
    error::Result,
    experiment::data_folder,
    hub::{HubSettings, resolve_model_with},
    task::TaskId,
};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// A task and the data that it has by default.
#[derive(Serialize)]
pub struct Task {
    task: &'static str,
    about: &'static str,
    /// `owner/name@revision`; `None` for a task that needs no data, or has none on the hub.
    source: Option<&'static str>,
    files: Vec<String>,
    /// The folder in the cache, if all files are there.
    cached: Option<PathBuf>,
}

impl Task {
    pub fn new(task: TaskId, cache: &HubSettings) -> Self {
        let source = task.source();
        let cached =
            source.as_ref().and_then(|_| data_folder(task, None, cache).ok()).map(|folder| folder.dir);
        Self {
            task: task.name(),
            about: task.about(),
            source: source.as_ref().map(|source| source.name),
            files: source.map(|source| source.files).unwrap_or_default(),
            cached,
        }
    }
}

/// A model that a preset names.
#[derive(Serialize)]
pub struct Model {
    model: String,
    cached: Option<PathBuf>,
}

impl Model {
    pub fn new(model: &str, cache: &HubSettings) -> Self {
        let cached = resolve_model_with(model, cache).ok().map(|folder| folder.dir);
        Self { model: model.to_owned(), cached }
    }
}

pub fn json(tasks: &[Task], models: &[Model]) -> Result<String> {
    document(&json!({ "format_version": 1, "tasks": tasks, "models": models }))
}

pub fn table(tasks: &[Task], models: &[Model]) -> String {
    let state = |cached: &Option<PathBuf>| if cached.is_some() { "in the cache" } else { "not fetched" };
    let short =
        |source: &str| source.split_at(source.find('@').map_or(source.len(), |at| at + 8)).0.to_owned();
    let mut table =
        Sheet::new(["task or model", "about", "on the hub", "state"].map(|name| (name, Column::Text)));
    for task in tasks {
        let (source, state) = match task.source {
            Some(source) => (short(source), state(&task.cached)),
            None if task.task == TaskId::Demo.name() => (String::new(), "generated"),
            None if task.task == TaskId::Mlm.name() => (String::new(), "needs --text"),
            None => (String::new(), "needs --data"),
        };
        table.row([task.task.to_owned(), task.about.to_owned(), source, state.to_owned()]);
    }
    for model in models {
        let name = model.model.split('@').next().unwrap_or_default();
        let row = [name, "a preset's model", &short(&model.model), state(&model.cached)];
        table.row(row);
    }
    table.text(terminal::width())
}
