//! All tasks that the program knows without a file.

use super::{TaskSpec, glue, inference};

/// In the order in which they are listed: GLUE's nine in its own, the others, and the demo.
pub fn all() -> impl Iterator<Item = &'static TaskSpec> {
    glue::TASKS.iter().chain(inference::TASKS).chain([&glue::SQUAD, &glue::MLM, &glue::DEMO])
}

/// The task of this name. GLUE's own spellings (`SST-2`, `STS-B`, `CoLA`) are names too.
pub fn named(word: &str) -> Option<&'static TaskSpec> {
    all().find(|task| plain(task.name) == plain(word))
}

/// The spelling that names are compared in.
pub fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', '_'], "")
}
