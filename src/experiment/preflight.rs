//! What keeps runs from beginning, found before any of them is begun.

use super::{inputs::check_length, model_folder::model_folder};
use crate::{
    config::{EMBEDDED_MODEL, ExperimentConfig},
    error::Result,
    hub::is_on_hub,
    model::{BertConfig, weights::Pretrained},
    task::{self, TaskId},
    text::Tokenizer,
    train::Silent,
};
use std::{collections::HashMap, path::Path};

/// Looks at each model and at each task's data once. Of weights the header alone is read, and models of the hub are left
/// to the runs, which fetch them.
#[derive(Default)]
pub struct Preflight {
    models: HashMap<String, std::result::Result<Option<(BertConfig, String)>, String>>,
    data: HashMap<(TaskId, Option<String>), std::result::Result<(), String>>,
}

impl Preflight {
    /// # Errors
    /// What a run with these settings would end with.
    pub fn check(&mut self, config: &ExperimentConfig) -> std::result::Result<(), String> {
        let model = self.models.entry(config.model.clone()).or_insert_with(|| look(model(&config.model)));
        if let Some((bert, name)) = model.as_ref().map_err(String::clone)? {
            look(check_length(config.data.max_length, bert, name))?;
        }
        let of_task = (config.task, config.data.dir.clone());
        self.data.entry(of_task).or_insert_with(|| look(data(config))).clone()
    }
}

fn look<T>(found: Result<T>) -> std::result::Result<T, String> {
    found.map_err(|why| why.to_string())
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
    task::load(config.task.spec(), Path::new(config.data.dir.as_deref().unwrap_or_default())).map(drop)
}
