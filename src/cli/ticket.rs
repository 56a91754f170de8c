//! What a run takes from its ticket file where nothing else says it.

use crate::{
    config::{EMBEDDED_MODEL, Layers},
    error::Result,
    experiment::TicketFile,
    hub::is_on_hub,
};
use std::path::Path;

/// Below all that was given: the ticket's task, seed and preset, and its model where the name says where that is.
pub fn fill_in(layers: &mut Layers) -> Result<()> {
    let Some(path) = layers.text("ticket").map(str::to_owned) else { return Ok(()) };
    let about = TicketFile::read(Path::new(&path))?.about;
    // A user's task is in the settings with its definition.
    let user = Some(&about.config["task"]).filter(|task| task.is_object());
    match user.and_then(|task| toml::Value::try_from(task).ok()) {
        Some(task) => layers.value_below("task", task, &path)?,
        None => layers.value_below("task", about.task.as_str(), &path)?,
    }
    if let Some(seed) = about.seed.and_then(|seed| i64::try_from(seed).ok()) {
        layers.value_below("seed", seed, &path)?;
    }
    if let Some(preset) = about.preset {
        layers.value_below("preset", preset, &path)?;
    }
    let Some(name) = about.base.name.filter(|name| name == EMBEDDED_MODEL || is_on_hub(name)) else {
        return Ok(());
    };
    let model = match about.base.revision.filter(|_| name != EMBEDDED_MODEL && !name.contains('@')) {
        Some(commit) => format!("{name}@{commit}"),
        None => name,
    };
    layers.value_below("model", model, &path)
}
