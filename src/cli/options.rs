//! Flags and environment variables that several verbs share.

use crate::{config::Layers, error::Result, store::Keep};
use std::{
    ops::{Bound, RangeBounds},
    path::{Path, PathBuf},
};

/// A parser for whole numbers in this range, whose message says what was expected.
pub fn numbers(
    range: impl RangeBounds<u64>,
) -> impl Fn(&str) -> std::result::Result<u64, String> + Clone + Send + Sync {
    let least = match range.start_bound() {
        Bound::Included(least) => *least,
        Bound::Excluded(below) => below + 1,
        Bound::Unbounded => 0,
    };
    let most = match range.end_bound() {
        Bound::Included(most) => *most,
        Bound::Excluded(above) => above - 1,
        // Settings are TOML, whose numbers end there.
        Bound::Unbounded => i64::MAX as u64,
    };
    move |typed| {
        let number = typed.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| match most {
            // A limit that nobody meets is no news.
            0..1_000_000_000 => format!("expected a whole number from {least} to {most}"),
            _ => format!("expected a whole number, at least {least}"),
        })
    }
}

/// [`numbers`], as sizes.
pub fn size(typed: &str) -> std::result::Result<usize, String> {
    numbers(0..)(typed).map(|number| number as usize)
}

/// A number, with a message that says what was expected.
pub fn real(typed: &str) -> std::result::Result<f64, String> {
    typed.parse().map_err(|_| "expected a number, such as 0.05 or 3e-5".to_owned())
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
