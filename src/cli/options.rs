//! Flags and environment variables that several verbs share.

use crate::{config::Layers, error::Result, store::Keep};
use clap::builder::RangedI64ValueParser;
use std::path::{Path, PathBuf};

/// A parser for whole numbers in this range. Its message names any other number, negative ones too.
pub fn numbers(range: impl std::ops::RangeBounds<i64>) -> RangedI64ValueParser<u64> {
    RangedI64ValueParser::new().range(range)
}

/// The value of an environment variable, if it is set and is text; an empty one counts as unset.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Adds the environment's model and data below the layers so far: a file describes one experiment, the environment what
/// is usual on this machine. The demo, which runs when nothing is asked for, uses neither; the notes returned say so.
pub fn add_environment(layers: &mut Layers, env: impl Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    let nothing = layers.asks_for_nothing();
    let mut notes = Vec::new();
    for (key, name) in [("model", "LOTTERY_MODEL"), ("data.dir", "LOTTERY_DATA")] {
        match env(name).filter(|value| !value.is_empty()) {
            Some(_) if nothing => {
                notes
                    .push(format!("no task given: running the demo without {name}. Name a task with --task"));
            }
            Some(value) => layers.value_below(key, value, name)?,
            None => {}
        }
    }
    Ok(notes)
}

/// The value of --keep, or its default.
pub fn keep(typed: Option<&str>) -> Result<Keep> {
    typed.map_or(Ok(Keep::default()), str::parse)
}

/// The value of --store, otherwise of `LOTTERY_STORE`, otherwise `runs`.
pub fn store_folder(typed: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> PathBuf {
    let usual = || env("LOTTERY_STORE").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    typed.map(Path::to_owned).or_else(usual).unwrap_or_else(|| "runs".into())
}
