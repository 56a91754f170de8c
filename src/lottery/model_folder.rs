//! Where a model's files are, by what `--model` says.

use crate::{
    config::{EMBEDDED_MODEL, ModelFolder, resolve_model},
    error::Result,
    model::tiny,
};

/// The embedded model, written out; else an existing folder; else `owner/name[@revision]` on the hub.
pub fn model_folder(model: &str) -> Result<ModelFolder> {
    match model {
        EMBEDDED_MODEL => Ok(ModelFolder { dir: tiny::folder()?, name: model.to_owned() }),
        other => resolve_model(other),
    }
}
