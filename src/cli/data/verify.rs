//! `lottery data verify`: hashes and numbers of examples.

use crate::cli::{
    output::{document, print},
    table::{Column, Sheet},
    terminal,
};
use crate::{
    choice::Choice,
    error::{Error, Result},
    experiment::{DataFolder, data_folder, workload},
    hub::{self, HubSettings, resolve_model_with},
    task::TaskId,
};
use serde::Serialize;
use serde_json::json;
use std::{fs, path::Path};

/// What was found of one task or model.
#[derive(Serialize)]
struct Found {
    name: String,
    /// Of the training and development sets.
    examples: Vec<usize>,
    /// What is wrong; empty if nothing is.
    faults: Vec<String>,
}

/// Checks all of them and reports what is wrong with each.
///
/// # Errors
/// Data: something is missing or wrong.
pub fn verify(tasks: &[TaskId], models: &[String], dir: Option<&str>, json: bool) -> Result<()> {
    let mut found: Vec<Found> = tasks.iter().map(|task| of_task(*task, dir)).collect();
    found.extend(models.iter().map(|model| of_model(model)));
    let text = match json {
        true => document(&json!({ "format_version": 1, "verified": found }))?,
        false => table(&found),
    };
    print(&text)?;
    match found.iter().filter(|found| !found.faults.is_empty()).count() {
        0 => Ok(()),
        wrong => Err(Error::data(format!(
            "{wrong} of {} are not as they should be. Delete damaged files and run `lottery data fetch`.",
            found.len()
        ))),
    }
}

fn of_task(task: TaskId, dir: Option<&str>) -> Found {
    let (mut faults, mut examples) = (Vec::new(), Vec::new());
    if let Err(error) = check(task, dir, &mut examples, &mut faults) {
        faults.push(error.to_string());
    }
    Found { name: task.name().to_owned(), examples, faults }
}

fn check(task: TaskId, dir: Option<&str>, examples: &mut Vec<usize>, faults: &mut Vec<String>) -> Result<()> {
    let DataFolder { dir, hub } = data_folder(task, dir, &HubSettings::cache_only())?;
    let source = task.source();
    if let (Some(_), Some(source)) = (hub, &source) {
        for file in &source.files {
            faults.extend(hub::fault(&dir.join(file))?.map(|what| format!("{file}: {what}")));
        }
    }
    examples.extend(workload::read(task.spec(), &dir, None)?.counts());
    if let Some(published) = source.map(|source| source.examples)
        && published != examples
    {
        faults.push(format!("it has {} examples instead of {}", numbers(examples), numbers(published)));
    }
    Ok(())
}

fn of_model(name: &str) -> Found {
    let check = || -> Result<Vec<String>> {
        let dir = resolve_model_with(name, &HubSettings::cache_only())?.dir;
        let broken = |error: &std::io::Error| Error::io(&dir, "read", error);
        let mut faults = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|error| broken(&error))? {
            let path = entry.map_err(|error| broken(&error))?.path();
            let file = path.file_name().map(Path::new).unwrap_or(&path);
            faults.extend(hub::fault(&path)?.map(|what| format!("{}: {what}", file.display())));
        }
        Ok(faults)
    };
    let faults = check().unwrap_or_else(|error| vec![error.to_string()]);
    Found { name: name.to_owned(), examples: Vec::new(), faults }
}

fn numbers(examples: &[usize]) -> String {
    examples.iter().map(usize::to_string).collect::<Vec<_>>().join(" / ")
}

fn table(found: &[Found]) -> String {
    let columns = ["task or model", "examples, train / dev", "verified"];
    let mut table = Sheet::new(columns.map(|name| (name, Column::Text)));
    for Found { name, examples, faults } in found {
        let state = if faults.is_empty() { "all is well".to_owned() } else { faults.join("; ") };
        table.row([name.clone(), numbers(examples), state]);
    }
    table.text(terminal::width())
}
