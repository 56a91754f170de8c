//! Where a model's files are, by what `--model` says.

use crate::{
    config::{ModelFolder, resolve_model},
    error::Result,
    model::tiny,
};

/// The embedded model, written out; else an existing folder; else `owner/name[@revision]` on the hub.
pub fn model_folder(model: &str) -> Result<ModelFolder> {
    match model {
        tiny::NAME => Ok(ModelFolder { dir: tiny::folder()?, name: tiny::NAME.to_owned() }),
        other => resolve_model(other),
    }
}
