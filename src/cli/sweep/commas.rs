//! Paths that contain a comma, in comma-separated lists.

use crate::error::{Error, Result, excerpt};
use std::path::Path;

/// The largest number of items that one path may be split into.
const MOST: usize = 8;

/// # Errors
/// Usage: adjacent items, joined by commas, are the path of something that exists, while not all of them exist themselves.
pub fn refuse_path(key: &str, words: &[String], flag: &str) -> Result<()> {
    if !["model", "data.dir", "data.text", "data.dev_text"].contains(&key) {
        return Ok(());
    }
    let exists = |word: &str| Path::new(word.trim()).exists();
    let runs =
        (0..words.len()).flat_map(|from| (from + 2..=words.len().min(from + MOST)).map(move |to| from..to));
    for run in runs {
        let run = &words[run];
        let whole = run.join(",");
        if exists(&whole) && !run.iter().all(|word| exists(word)) {
            let whole = excerpt(&whole);
            return Err(Error::usage(format!(
                "{whole:?} exists, but {flag} takes a comma-separated list. Rename it, or give a link to it without a comma, or \
                 write it in a sweep's file: {key} = [{whole:?}]."
            )));
        }
    }
    Ok(())
}
