//! A user's own task: what a small TOML file says of its files, columns, labels and metrics.

mod definition;
mod intern;
mod parse;
#[cfg(test)]
mod tests;

pub use definition::Definition;
pub use intern::{definition, spec};

use super::TaskId;
use crate::error::{Error, Result};
use std::path::Path;

impl Definition {
    /// Whether a text names the file of a task instead of a registered task.
    pub fn is_path(word: &str) -> bool {
        word.contains(['/', '\\'])
            || Path::new(word).extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"))
    }

    /// Reads a task's TOML file.
    ///
    /// # Errors
    /// Usage, with the line and the key.
    pub fn read(path: &Path) -> Result<Self> {
        parse::read(path)
    }

    /// The task.
    ///
    /// # Errors
    /// Usage, with the key.
    pub fn task(self) -> Result<TaskId> {
        self.check()
            .map_err(|(key, what)| Error::usage(format!("{key} of the task {}: {what}", self.name)))?;
        Ok(TaskId::User(intern::intern(self)))
    }
}
