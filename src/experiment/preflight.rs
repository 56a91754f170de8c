//! Checks before a sweep starts: what would keep its runs from starting.

use super::{inputs::check_length, model_folder::model_folder, workload};
use crate::{
    config::{EMBEDDED_MODEL, ExperimentConfig},
    error::Result,
    hub::is_on_hub,
    model::{BertConfig, weights::Pretrained},
    task::TaskId,
    text::Tokenizer,
    train::Silent,
};
use std::{collections::HashMap, path::Path};

/// Checks each model and each task's data once. Only the header of the weights is read, and what is on the hub is left
/// to the runs, which download it.
#[derive(Default)]
pub struct Preflight {
    models: HashMap<String, std::result::Result<Option<(BertConfig, String)>, String>>,
    data: HashMap<(TaskId, Option<String>), std::result::Result<(), String>>,
}

impl Preflight {
    /// # Errors
    /// The error message of a run with these settings.
    pub fn check(&mut self, config: &ExperimentConfig) -> std::result::Result<(), String> {
        let model =
            self.models.entry(config.model.clone()).or_insert_with(|| text_error(model(&config.model)));
        if let Some((bert, name)) = model.as_ref().map_err(String::clone)? {
            text_error(check_length(config.data.max_length, bert, name))?;
        }
        let of_task = (config.task, config.data.dir.clone());
        self.data.entry(of_task).or_insert_with(|| text_error(data(config))).clone()
    }
}

fn text_error<T>(result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn model(name: &str) -> Result<Option<(BertConfig, String)>> {
    if name == EMBEDDED_MODEL || is_on_hub(name) {
        return Ok(None);
    }
    let folder = model_folder(name, &mut Silent)?;
    let config = Pretrained::check(&folder.dir)?;
    Tokenizer::from_folder(&folder.dir)?;
    Ok(Some((config, folder.name)))
}

fn data(config: &ExperimentConfig) -> Result<()> {
    match &config.data.dir {
        None if config.task.source().is_some() => Ok(()),
        dir => workload::read(config.task.spec(), Path::new(dir.as_deref().unwrap_or_default())).map(drop),
    }
}
