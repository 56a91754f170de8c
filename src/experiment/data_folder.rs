//! The folder of a task's data: the one that is named, otherwise the hub's.

use crate::{
    error::{Error, Result},
    hub::{HubSettings, resolve_dataset},
    task::TaskId,
};
use std::path::PathBuf;

/// The data of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataFolder {
    pub dir: PathBuf,
    /// The data set on the hub, `owner/name`, and its commit, unless a folder is named.
    pub hub: Option<(String, String)>,
}

/// The folder `named` if there is one, otherwise the hub's files of this task.
///
/// # Errors
/// Data: the files are neither in the hub's cache nor can be downloaded; the task is not on the hub.
pub fn data_folder(task: TaskId, named: Option<&str>, hub: &HubSettings) -> Result<DataFolder> {
    if let Some(dir) = named.filter(|_| task != TaskId::Mlm) {
        return Ok(DataFolder { dir: dir.into(), hub: None });
    }
    // The demo is generated, the settings name the text of masked words, and a user's task says where its files are.
    if matches!(task, TaskId::Demo | TaskId::Mlm) || task.definition().is_some() {
        return Ok(DataFolder::default());
    }
    let source = task.source().ok_or_else(|| {
        Error::usage(format!(
            "{} has no data set on the hub. Give --data the folder with its files.",
            task.spec().name
        ))
    })?;
    let snapshot = resolve_dataset(source.name, &source.files, hub)?;
    let name = source.name.split('@').next().unwrap_or_default().to_owned();
    Ok(DataFolder { dir: snapshot.dir, hub: Some((name, snapshot.commit)) })
}
