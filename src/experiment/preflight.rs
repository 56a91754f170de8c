//! Checks before a sweep starts: what would keep its runs from starting.

use super::{
    TicketFile,
    data_folder::data_folder,
    inputs::{Place, check_length},
    model_folder::model_folder,
    workload,
};
use crate::{
    config::{EMBEDDED_MODEL, ExperimentConfig},
    error::Result,
    hub::{HubSettings, is_on_hub},
    model::{BertConfig, weights::Pretrained},
    task::TaskId,
    text::Tokenizer,
    train::Silent,
};
use std::{collections::HashMap, path::Path};

/// Checks each model and each task's data once. Only the header of the weights is read, and what is on the hub is left
/// to the runs, which download it, unless asked otherwise.
#[derive(Default)]
pub struct Preflight {
    /// Download what is on the hub.
    fetch: bool,
    models: HashMap<String, std::result::Result<Option<(BertConfig, String)>, String>>,
    finetuned: HashMap<String, std::result::Result<(), String>>,
    data: HashMap<(TaskId, Place), std::result::Result<(), String>>,
}

impl Preflight {
    /// One that downloads what is on the hub, once for all runs.
    pub fn fetching() -> Self {
        Self { fetch: true, ..Self::default() }
    }

    /// # Errors
    /// The error message of a run with these settings.
    pub fn check(&mut self, config: &ExperimentConfig) -> std::result::Result<(), String> {
        let model = self
            .models
            .entry(config.model.clone())
            .or_insert_with(|| text_error(model(&config.model, self.fetch)));
        if let Some(finetuned) = &config.finetuned {
            let model = || text_error(self::model(finetuned, self.fetch));
            self.finetuned.entry(finetuned.clone()).or_insert_with(|| model().map(drop)).clone()?;
        }
        let ticket = config.ticket.as_deref().map(|path| TicketFile::read(Path::new(path))).transpose();
        let ticket = text_error(ticket)?;
        if let Some((bert, name)) = model.as_ref().map_err(String::clone)? {
            text_error(check_length(config.data.max_length, bert, name))?;
            ticket.map_or(Ok(()), |ticket| text_error(ticket.check(bert, name)))?;
        }
        let of_task = (config.task, Place::of(config));
        self.data.entry(of_task).or_insert_with(|| text_error(data(config, self.fetch))).clone()
    }
}

fn text_error<T>(result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn model(name: &str, fetch: bool) -> Result<Option<(BertConfig, String)>> {
    if name == EMBEDDED_MODEL || is_on_hub(name) && !fetch {
        return Ok(None);
    }
    let folder = model_folder(name, &mut Silent)?;
    let config = Pretrained::check(&folder.dir)?;
    Tokenizer::from_folder(&folder.dir)?;
    Ok(Some((config, folder.name)))
}

fn data(config: &ExperimentConfig, fetch: bool) -> Result<()> {
    let place = Place::of(config);
    match place.folder() {
        None if config.task.source().is_some() => match fetch {
            true => data_folder(config.task, None, &HubSettings::from_env()).map(drop),
            false => Ok(()),
        },
        dir => {
            workload::read(config.task.spec(), Path::new(dir.unwrap_or_default()), place.texts()).map(drop)
        }
    }
}
