//! The folder of a model, by the value of `--model`.

use crate::{
    config::EMBEDDED_MODEL,
    error::Result,
    hub::{ModelFolder, resolve_model},
    model::tiny,
    store::{Done, WEIGHTS},
    train::Progress,
};
use std::path::Path;

/// The folder of the embedded model, an existing folder, or the local copy of `owner/name[@revision]` on the hub.
pub fn model_folder(model: &str, progress: &mut dyn Progress) -> Result<ModelFolder> {
    if model == EMBEDDED_MODEL && Path::new(model).join("config.json").exists() {
        progress.warn(&format!(
            "{model} means the model that comes with the program; for the folder of that name here, write ./{model}"
        ));
    }
    match model {
        EMBEDDED_MODEL => Ok(ModelFolder { dir: tiny::folder()?, name: model.to_owned(), revision: None }),
        other => {
            let folder = resolve_model(other)?;
            // The folder of a stage is a model folder too.
            match Done::of_folder(&folder.dir) {
                Some(stage) if stage.is_removed(WEIGHTS) => stage.path(WEIGHTS).map(|_| folder),
                _ => Ok(folder),
            }
        }
    }
}
