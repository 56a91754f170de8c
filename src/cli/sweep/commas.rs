//! Paths with a comma in lists that are divided at commas.

use crate::error::{Error, Result, excerpt};
use std::path::Path;

/// Words that one path may be torn into.
const MOST: usize = 8;

/// Usage error: neighbours of the list are together the path of something that is there, and are not there themselves.
pub fn refuse_path(key: &str, words: &[String], flag: &str) -> Result<()> {
    if !["model", "data.dir"].contains(&key) {
        return Ok(());
    }
    let is_there = |word: &str| Path::new(word.trim()).exists();
    let runs =
        (0..words.len()).flat_map(|from| (from + 2..=words.len().min(from + MOST)).map(move |to| from..to));
    for run in runs {
        let run = &words[run];
        let whole = run.join(",");
        if is_there(&whole) && !run.iter().all(|word| is_there(word)) {
            let whole = excerpt(&whole);
            return Err(Error::usage(format!(
                "{whole:?} is there, and {flag} takes it for a list, which is divided at commas. Give it another name, \
                 or a link to it without a comma; a sweep's file takes it as it is: {key} = [{whole:?}]."
            )));
        }
    }
    Ok(())
}
